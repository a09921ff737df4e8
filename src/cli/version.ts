/** What `--version` prints. */

/** The version of the real tool whose behaviour this program has. */
const COMPATIBLE_VERSION = '11.1.3';

/** The program's own version. */
const OWN_VERSION = '0.1.0';

/**
 * The first two lines are what scripts look for and what the real tool prints; the third says what this program is.
 */
export const VERSION_TEXT: string = `qemu-img version ${COMPATIBLE_VERSION} (qimg ${OWN_VERSION})
Copyright (c) 2003-2026 Fabrice Bellard and the QEMU Project developers
The lines above name the program that qimg stands in for; qimg is an independent implementation.
`;
