/** Recognising cloop images; apart from the driver, so that probing loads nothing else. */

/** The script that version 2 images begin with; it mounts the image that it is part of. */
const SCRIPT = '#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n';

/** 2 for the usual script: somebody else may have put it in front of something else. 0 for everything else. */
export function probe(head: Uint8Array): number {
  if (head.length < SCRIPT.length) return 0;
  return String.fromCharCode(...head.subarray(0, SCRIPT.length)) === SCRIPT ? 2 : 0;
}
