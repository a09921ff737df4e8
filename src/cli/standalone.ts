/** The entry point of the standalone executable (docs/standalone.md). */
import '../host/bun/start.ts';
import './bin.ts';
