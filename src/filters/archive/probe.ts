/** Archives by their beginnings; loaded for every image that is opened, and so apart. */
export { isTarFile, isZipFile } from '../../block/graph/notRaw.ts';
