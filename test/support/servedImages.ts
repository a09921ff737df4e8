/** Images in memory that are served over connections in memory. */
import { ImageLibrary, type RunSettings } from '../../src/operations/library.ts';
import type { ServeRequest } from '../../src/operations/requests.ts';
import type { ServedImages } from '../../src/operations/serve.ts';
import { drivers } from '../../src/drivers.ts';
import { MemoryFiles, memoryServices } from '../../src/testing.ts';
import { MemoryNet } from './memoryNet.ts';
import { NbdClient } from './nbdClient.ts';

/** Where they are served. */
export const ADDRESS = { type: 'unix', path: 'served' } as const;

/** A machine in memory with a network. */
export class ServedMachine {
  readonly files: MemoryFiles = new MemoryFiles();
  readonly net: MemoryNet;
  readonly library: ImageLibrary;

  constructor(settings: RunSettings = {}, room?: number) {
    this.net = new MemoryNet(room);
    this.library = new ImageLibrary(drivers, { ...memoryServices(this.files), net: this.net }, settings);
  }

  /** Serves for more than one client, with nobody looking at a clock. */
  serve(request: ServeRequest): Promise<ServedImages> {
    return this.library.serve({ address: ADDRESS, persistent: true, handshakeLimit: 0, ...request });
  }

  async client(): Promise<NbdClient> {
    return new NbdClient(await this.net.connect(ADDRESS));
  }

  /** A raw image. */
  put(name: string, bytes: Uint8Array): void {
    this.files.put(name, bytes);
  }
}
