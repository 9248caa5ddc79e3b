// A network of fully connected layers, read out of its ONNX file and run without a runtime, for square grey images. It
// takes one image and is within 1e-5 of onnxruntime; any other network is onnxruntime-web's (runtime.js).

// Each takes its inputs, all flat, and returns its output. Float32Array's `map` rounds to 32 bits.
const OPERATORS = {
  Cast: ([values]) => Float32Array.from(values),
  Div: ([values, [divisor]]) => values.map((value) => value / divisor),
  Flatten: ([values]) => values,
  AveragePool: ([values]) => {
    const side = Math.sqrt(values.length);
    const half = Math.floor(side / 2);
    return Float32Array.from({ length: half * half }, (_, place) => {
      const corner = 2 * (side * Math.floor(place / half) + (place % half));
      return (values[corner] + values[corner + 1] + values[corner + side] + values[corner + side + 1]) / 4;
    });
  },
  Identity: ([values]) => values,
  Relu: ([values]) => values.map((value) => Math.max(value, 0)),
  Sigmoid: ([values]) => values.map((value) => 1 / (1 + Math.exp(-value))),
  Gemm: ([values, weights, bias]) =>
    bias.map((sum, row) => {
      for (let column = 0, from = row * values.length; column < values.length; column++) {
        sum += values[column] * weights[from + column];
      }
      return sum;
    }),
  Softmax: ([values]) => {
    const largest = Math.max(...values);
    const powers = Array.from(values, (value) => Math.exp(value - largest));
    const sum = powers.reduce((total, power) => total + power);
    return Float32Array.from(powers, (power) => power / sum);
  },
};
const ATTRIBUTES = {
  Cast: "to 1",
  Flatten: "axis 1",
  AveragePool: "kernel_shape 2,2; strides 2,2",
  Gemm: "transB 1",
  Softmax: "axis 1",
};
const FLOAT = 1; // the type of a tensor

/**
 * Read a model; return the function that runs one image, or null if it needs more than the operators above.
 *
 * @param {Uint8Array} file an ONNX model, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 * @param {Array} shape of its input: ["batch", channels, height, width]
 * @returns {?function(Uint8Array): Object<string, Float32Array>} from the levels of an image to the outputs, by name
 */
export function readDense(file, [, channels, height, width]) {
  const [graph] = readMessage(file)[7];
  const { 1: nodes, 5: tensors, 11: [input], 12: outputs } = readMessage(graph);
  const weights = Object.fromEntries(tensors.map(readTensor));
  const steps = nodes.map(readNode);
  const known = ({ kind, attributes }) => OPERATORS[kind] && attributes === (ATTRIBUTES[kind] ?? "");
  if (channels !== 1 || height !== width || !steps.every(known) || !Object.values(weights).every(Boolean)) return null;
  return (pixels) => {
    const values = { ...weights, [nameOf(input)]: pixels };
    for (const { kind, inputs, output } of steps) values[output] = OPERATORS[kind](inputs.map((name) => values[name]));
    return Object.fromEntries(outputs.map(nameOf).map((name) => [name, values[name]]));
  };
}

function readNode(bytes) {
  const { 1: inputs, 2: [output], 4: [kind], 5: attributes = [] } = readMessage(bytes);
  const settings = attributes.map((each) => {
    const { 1: [name], 3: number, 8: list } = readMessage(each);
    return `${text(name)} ${number ?? list}`;
  });
  return { kind: text(kind), inputs: inputs.map(text), output: text(output), attributes: settings.join("; ") };
}

/** The name of a tensor with its numbers, or with null if they are not of 32 bits. */
function readTensor(bytes) {
  const { 2: [type], 4: floats = [], 8: [name], 9: [raw] = floats } = readMessage(bytes);
  return [text(name), type === FLOAT && raw ? new Float32Array(new Uint8Array(raw).buffer) : null];
}

const nameOf = (bytes) => text(readMessage(bytes)[1][0]);
const text = (bytes) => new TextDecoder().decode(bytes);

/**
 * The fields of a message by number, each a list: of numbers, or of bytes.
 *
 * The format is https://protobuf.dev/programming-guides/encoding/.
 */
function readMessage(bytes) {
  const fields = {};
  let place = 0;
  const readNumber = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = bytes[place++];
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  const readBytes = (size) => bytes.subarray(place, (place += size));
  const readers = { 0: readNumber, 1: () => readBytes(8), 2: () => readBytes(readNumber()), 5: () => readBytes(4) };
  while (place < bytes.length) {
    const tag = readNumber();
    (fields[Math.floor(tag / 8)] ??= []).push(readers[tag % 8]());
  }
  return fields;
}
