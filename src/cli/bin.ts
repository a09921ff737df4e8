#!/usr/bin/env node
/** Entry point of the program. */
process.stdout.write('qemu-img version 11.1.3 (qimg 0.1.0)\n');
