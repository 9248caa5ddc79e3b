// The sheet: what is drawn on a canvas; every step can be undone.

export const UNITS = 100; // along a side of the sheet; strokes are given in these

/**
 * Marks, each some strokes or a picture on a ground; a fresh mark covers all before it. A stroke is
 * {path: Path2D, width}.
 *
 * At most one pen is down: its stroke ends when another mark is added or a mark is undone. `changed` is called after
 * each change. The canvas has the class `blank`, `example` (the page drew it), `picture` or `drawing` (the pen is down)
 * while that is true.
 */
export class Sheet {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.marks = [];
    this.width = 8; // of the next stroke, in units
    this.stroke = null; // the one being drawn
    this.example = false; // true while all that is drawn is the page's own example
    this.changed = () => {};
    this.draw();
  }

  get shown() {
    return this.marks.slice(Math.max(0, this.marks.findLastIndex((mark) => mark.fresh)));
  }

  get picture() {
    return this.shown[0]?.picture;
  }

  get blank() {
    return !this.shown.some((mark) => mark.picture || mark.strokes.length > 0);
  }

  get penDown() {
    return this.stroke !== null;
  }

  add(mark, stroke = null) {
    this.forgetExample();
    this.stroke = stroke;
    this.marks.push({ strokes: [], ...mark });
    this.redraw();
  }

  undo() {
    this.forgetExample();
    this.stroke = null;
    this.marks.pop();
    this.redraw();
  }

  clear() {
    if (this.example) this.removeExample();
    else if (!this.blank) this.add({ fresh: true });
  }

  /** Remove the example, if it is there; it cannot be undone. */
  removeExample() {
    if (!this.example) return;
    this.forgetExample();
    this.redraw();
  }

  forgetExample() {
    if (!this.example) return;
    this.example = false;
    this.stroke = null;
    this.marks = [];
  }

  /** Put the pen down; return the stroke that begins there. */
  begin(point) {
    const curve = new Path2D(); // up to the midpoint of the last two points; from there it is straight
    curve.moveTo(...point);
    curve.lineTo(point[0] + 0.1, point[1]); // a dot if nothing follows; a line without length would not show
    const stroke = { width: this.width, curve, last: point };
    reachLast(stroke);
    this.add({ strokes: [stroke] }, stroke);
    return stroke;
  }

  /** Continue a stroke through some points, if its pen is still down. */
  extend(stroke, points) {
    if (!this.penDown || stroke !== this.stroke) return;
    for (const next of points) {
      const [x, y] = stroke.last;
      stroke.curve.quadraticCurveTo(x, y, (x + next[0]) / 2, (y + next[1]) / 2);
      stroke.last = next;
    }
    reachLast(stroke);
    this.redraw();
  }

  /** Lift the pen of a stroke, if it is still down. */
  end(stroke) {
    if (!this.penDown || stroke !== this.stroke) return;
    this.stroke = null;
    this.redraw();
  }

  redraw() {
    this.draw();
    this.changed();
  }

  draw() {
    const { canvas, context, picture } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (picture) {
      context.fillStyle = this.shown[0].ground;
      context.fillRect(...this.corner(picture), picture.width, picture.height);
      context.drawImage(picture, ...this.corner(picture));
    }
    this.drawMarks(context, [0, 0]);
    canvas.classList.toggle("picture", picture !== undefined);
    canvas.classList.toggle("blank", this.blank);
    canvas.classList.toggle("drawing", this.penDown);
    canvas.classList.toggle("example", this.example);
  }

  /** Draw all strokes onto a copy of the sheet that begins at a corner of it. */
  drawMarks(context, [left, top]) {
    const scale = this.canvas.width / UNITS;
    context.setTransform(scale, 0, 0, scale, -left, -top);
    drawStrokes(context, this.shown.flatMap((mark) => mark.strokes));
  }

  /** Return the left and the top of a picture, which is centred, in whole pixels. */
  corner({ width, height }) {
    return [width, height].map((side) => Math.floor((this.canvas.width - side) / 2));
  }

  /** Where `drawing` is on the sheet, in shares of it. */
  get frame() {
    const { width, height } = this.picture ?? this.canvas;
    const side = this.canvas.width;
    const [left, top] = this.corner({ width, height });
    return { left: left / side, top: top / side, width: width / side, height: height / side };
  }

  /** Return a canvas with what is to be guessed: a picture as transparent as its file, without the sheet around it. */
  drawing() {
    const scale = this.picture ? 1 : 0.5; // strokes are read as well at half the size, in half the time
    const { width, height } = this.picture ?? this.canvas;
    const copy = makeCanvas(width * scale, height * scale);
    const context = copy.getContext("2d");
    context.drawImage(this.picture ?? this.canvas, 0, 0, copy.width, copy.height);
    if (this.picture) this.drawMarks(context, this.corner(this.picture));
    return copy;
  }
}

function reachLast(stroke) {
  stroke.path = new Path2D(stroke.curve);
  stroke.path.lineTo(...stroke.last);
}

export function makeCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

export function drawStrokes(context, strokes) {
  context.strokeStyle = "black";
  context.lineCap = context.lineJoin = "round";
  for (const { path, width } of strokes) {
    context.lineWidth = width;
    context.stroke(path);
  }
}

const DIFFERENCE = 32; // levels; some browsers add a little noise, which does no harm

/** Return whether pages may read what they have drawn: browsers may hand out white or noise instead. */
export function canReadCanvas() {
  const side = 16;
  const context = makeCanvas(side, side).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, side, side);
  context.fillStyle = "black";
  context.fillRect(0, 0, side / 2, side);
  const { data } = context.getImageData(0, 0, side, side);
  const wanted = (place) => ((place / 4) % side < side / 2 ? 0 : 255); // of the red of each pixel
  return data.every((level, place) => place % 4 > 0 || Math.abs(level - wanted(place)) < DIFFERENCE);
}
