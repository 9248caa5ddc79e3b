// Files as one archive (ustar, POSIX.1-1988): for each a header and its content, in blocks.

const BLOCK = 512;

/** Return an archive of [folder/name, content]; a name has 100 bytes at most, a folder 155. */
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
  const put = (place, text) => new TextEncoder().encodeInto(text, header.subarray(place));
  const octal = (number, digits) => number.toString(8).padStart(digits, "0");
  const cut = name.lastIndexOf("/");
  put(0, name.slice(cut + 1));
  put(100, octal(0o644, 7)); // who may read it
  put(124, octal(size, 11));
  put(136, octal(seconds, 11));
  put(148, " ".repeat(8)); // the checksum counts as spaces
  put(156, "0"); // a file
  put(257, "ustar\0" + "00");
  put(345, name.slice(0, cut));
  put(148, octal(header.reduce((sum, byte) => sum + byte), 6) + "\0 ");
  return header;
}
