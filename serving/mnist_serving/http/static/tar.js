// Files as one archive, in the format of POSIX.1-1988 (ustar): each a header and the content, in blocks of 512 bytes.

const BLOCK = 512;

/** Return an archive of [name, content] pairs; a name has at most 100 bytes. */
export function makeTar(files) {
  const seconds = Math.floor(Date.now() / 1000);
  const entries = files.flatMap(([name, content]) => [
    makeHeader(name, content.length, seconds),
    content,
    new Uint8Array(-content.length & (BLOCK - 1)),
  ]);
  return new Blob([...entries, new Uint8Array(2 * BLOCK)], { type: "application/x-tar" });
}

function makeHeader(name, size, seconds) {
  const header = new Uint8Array(BLOCK);
  const put = (place, text) => header.set(new TextEncoder().encode(text), place);
  const octal = (number, digits) => number.toString(8).padStart(digits, "0");
  put(0, name);
  put(100, octal(0o644, 7)); // who may read it
  put(124, octal(size, 11));
  put(136, octal(seconds, 11));
  put(148, " ".repeat(8)); // the checksum counts as spaces
  put(156, "0"); // a file
  put(257, "ustar\0" + "00");
  put(148, octal(header.reduce((sum, byte) => sum + byte), 6) + "\0 ");
  return header;
}
