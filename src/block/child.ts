/** How a driver asks for a storage besides its file. */

/** Settings of a storage that an image names by itself: a data file, an extent. */
export interface ChildOptions {
  readonly writable?: boolean;
  /** Nothing is opened where nothing names the storage. */
  readonly optional?: boolean;
  /** The storage holds guest data and no tables, so others may write to it, but not resize it. */
  readonly dataOnly?: boolean;
  /** The name is the user's own: a relative one counts from where the user is, not from the image's directory. */
  readonly asGiven?: boolean;
}
