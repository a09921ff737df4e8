/** The port for images that come and go as streams: standard input and output of the program, or what a caller brings. */
import type { ByteSink, ByteStream } from '../base/byteStream.ts';

/** Where an image called `-` comes from and goes to. */
export interface PipePort {
  /**
   * What comes in; a second call goes on where the first one stopped.
   * @throws BlockError if there is nothing.
   */
  input(): ByteStream;
  /** Name of the regular file that comes in, which can be read in any order; undefined: it is none. */
  inputFile(): string | undefined;
  /** Where the image goes. @throws BlockError for a terminal, and if there is nothing. */
  output(): ByteSink;
}
