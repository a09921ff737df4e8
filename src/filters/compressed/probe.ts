/** Compressed files by their beginnings; loaded for every image that is opened, and so apart. */
export { isBzip2File, isGzipFile, isXzFile, isZstdFile } from '../../codec/fileMagic.ts';
