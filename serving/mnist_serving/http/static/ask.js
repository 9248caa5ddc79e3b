// When the page asks: one question at a time, at every change, and again while the service is away.

import { find } from "./dom.js";

const FIRST_PAUSE = 500; // milliseconds before a question is asked again; twice as long each time,
const LONGEST_PAUSE = 8000; // up to this
const SPACING = 50; // milliseconds between an answer and the next question while the pen is down

/**
 * Return the function to call at every change of the sheet. The last drawing is always answered.
 *
 * `ask` promises a function that shows the answer; if it throws, `refuse` gets the error, or `wait` one whose `retry`
 * is true, and the question is asked again: after a pause, or at once when a stroke begins or ends.
 */
export function makeAsker(sheet, { ask, refuse, wait }) {
  let changes = 0;
  let running = false;
  let drawing = false;
  let wake = () => {};
  /** Wait for a time; return true if something was drawn meanwhile. */
  const rest = (time) =>
    new Promise((done) => {
      wake = () => done(true);
      setTimeout(done, time, false);
    });
  const askUntilAnswered = async () => {
    let pause = FIRST_PAUSE;
    for (let answered = 0; answered !== changes; ) {
      const asked = changes;
      try {
        const show = await ask();
        if (asked === changes || sheet.penDown) show();
      } catch (error) {
        if (error.retry) {
          wait(error);
          pause = (await rest(pause)) ? FIRST_PAUSE : Math.min(2 * pause, LONGEST_PAUSE);
          continue;
        }
        // While the pen is down there may be too little ink yet.
        if (asked === changes && !sheet.penDown) refuse(error);
      }
      pause = FIRST_PAUSE;
      answered = asked;
      if (answered !== changes && sheet.penDown) await rest(SPACING);
    }
  };
  return async () => {
    changes += 1;
    if (!(drawing && sheet.penDown)) wake();
    drawing = sheet.penDown;
    if (running) return;
    running = true;
    find("bars").ariaBusy = "true";
    await askUntilAnswered();
    find("bars").ariaBusy = "false";
    running = false;
  };
}
