/** Servers that tests start on sockets of their own and stop afterwards. */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { systemPath } from './otherPrograms.ts';

const running = new Set<ChildProcess>();

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * Starts a server and waits until it takes connections at a Unix socket.
 * @param socket name of it, in `cwd` unless it is absolute.
 * @throws Error if the server ends instead.
 */
export async function serve(program: string, args: readonly string[], socket: string, cwd: string): Promise<void> {
  const child = spawn(program, args, { cwd, env: { ...process.env, ...systemPath }, stdio: 'ignore' });
  running.add(child);
  const path = socket.startsWith('/') ? socket : `${cwd}/${socket}`;
  while (!(await accepts(path))) {
    if (child.exitCode !== null) throw new Error(`${program} has ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Stops all servers, and waits until they are gone. */
export async function stopServers(): Promise<void> {
  for (const child of running) {
    if (child.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
  }
  running.clear();
}
