/** The world of the program: this machine. */
import { readFileSync } from 'node:fs';
import type { DriverRegistry } from '../block/graph/registry.ts';
import { otherRuntime } from '../host/node/runtime.ts';
import type { OperationContext } from '../operations/context.ts';
import { programHint } from './hints.ts';
import type { CommandIo, View } from './io.ts';
import type { OutputStream } from './streams.ts';

async function allDrivers(): Promise<DriverRegistry> {
  return (await import('../drivers.ts')).drivers;
}

async function contextFor(view: View, err: (text: string) => void): Promise<OperationContext> {
  const [drivers, { nodeServices }, { permissiveGate }] = await Promise.all([
    allDrivers(),
    import('../host/node/host.ts'),
    import('../block/graph/gate.ts'),
  ]);
  return {
    drivers,
    services: nodeServices({ secrets: view.secrets, objects: view.objects }),
    gate: permissiveGate,
    // The line begins with 0 when the command says so.
    onProgress: (done, total) => (done === 0 && total > 0 ? undefined : view.progress.update(done, total)),
    watched: () => view.progress.watched,
    onWarning: (text, hint) => view.warn(hint === undefined ? text : `${text}\n${programHint(hint)}`),
    onComplaint: (text) => err(`qemu-img: ${text}\n`),
    onNotice: (text) => err(`${text}\n`),
  };
}

async function readWhole(name: string): Promise<Uint8Array> {
  const [{ nodeError }, { hostName }] = await Promise.all([
    import('../host/node/fileErrors.ts'),
    import('../host/node/fileNames.ts'),
  ]);
  try {
    // Not with the promises of `node:fs`: they need a thread, which there may be none for.
    return readFileSync(hostName(name));
  } catch (thrown) {
    throw nodeError(thrown, undefined, { filename: name, access: 'read' });
  }
}

/** Commands on this machine, with these streams. */
export function machineIo(output: OutputStream, errors: OutputStream): CommandIo {
  const out = (text: string): void => output.write(text);
  const err = (text: string): void => {
    output.flush();
    errors.write(text);
    errors.flush();
  };
  return {
    build: otherRuntime()?.description,
    out,
    err,
    readFile: readWhole,
    drivers: allDrivers,
    async execute({ view, run }) {
      return run({ context: await contextFor(view, err), view, out, err });
    },
    onProgressSignal(listener) {
      process.on('SIGUSR1', listener);
      return () => process.off('SIGUSR1', listener);
    },
  };
}
