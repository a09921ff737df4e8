/** What a server of images gives to `nbdcopy`, and takes from it, beside `qemu-nbd`: the copy alone is timed. */

/** @typedef {import('../types.ts').Row} Row */

/** @type {import('../types.ts').Goal} */
const goal = { wall: [1.1, 1.1] };

/** @type {readonly Row[]} */
export const served = [
  ...['raw', 'qcow2'].map((format) => ({
    name: `${format} to nbdcopy`,
    argv: ['nbdcopy', 'URI', 'null:'],
    served: { image: `disk.${format}`, format },
    needs: [`disk.${format}`],
    goal,
    quick: format === 'raw',
  })),
  ...['raw', 'qcow2'].map((format) => ({
    name: `nbdcopy to ${format}`,
    argv: ['nbdcopy', '--flush', 'disk.raw', 'URI'],
    served: { image: `out.${format}`, format, writable: true },
    needs: ['disk.raw', `empty.${format}`],
    copies: [/** @type {const} */ ([`empty.${format}`, `out.${format}`])],
    outputs: [`out.${format}`],
    verify: [['compare', '-q', '-f', 'raw', '-F', format, 'disk.raw', `out.${format}`]],
    goal,
  })),
];
