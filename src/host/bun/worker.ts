/** Entry point of a worker thread of the standalone executable. */
import './start.ts';
import '../node/worker.ts';
