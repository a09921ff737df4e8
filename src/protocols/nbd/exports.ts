/** The last step of the handshake: choosing an export, and what the server says of it. */
import { invalidArgument } from '../../base/error.ts';
import { bytesOf } from '../../base/text.ts';
import { Info, MAX_NAME, Option, Reply, replyText } from './numbers.ts';
import { type OptionReply, type Options, wrong } from './haggling.ts';
import { type Incoming, message } from './stream.ts';

/** What a server says of the sizes of requests, in bytes; powers of two but for the largest. */
interface BlockSizes {
  readonly minimum: number;
  readonly preferred: number;
  readonly maximum: number;
}

/** An export, whatever requests to it look like. */
export interface KnownExport {
  /** Bytes; larger than what a number holds exactly only where nobody could use it. */
  readonly size: number;
  /** Transmission flags. */
  readonly flags: number;
  readonly blockSizes?: BlockSizes | undefined;
}

function nameBytes(name: string): Uint8Array {
  const bytes = bytesOf(name);
  if (bytes.length > MAX_NAME) throw invalidArgument('export name too long to send to server');
  return bytes;
}

/** Chooses the export with `NBD_OPT_GO`; undefined: the server does not know that option. */
export async function exportByInfo(options: Options, name: string): Promise<KnownExport | undefined> {
  const bytes = nameBytes(name);
  await options.ask(Option.go, message([4, bytes.length], bytes, [2, 1], [2, Info.blockSize]));
  let known: KnownExport | undefined;
  let blockSizes: BlockSizes | undefined;
  for (;;) {
    const reply = await options.answer(Option.go);
    if (!reply) return undefined;
    if (reply.type === Reply.ack) {
      if (reply.length !== 0) throw wrong('server sent invalid NBD_REP_ACK');
      if (!known || known.flags === 0) throw wrong('broken server omitted NBD_INFO_EXPORT');
      return checked({ ...known, blockSizes });
    }
    if (reply.type !== Reply.info) {
      throw wrong(`unexpected reply type ${replyText(reply.type)}, expected ${replyText(Reply.info)}`);
    }
    const { type, view } = await information(options.incoming, reply);
    if (type === Info.export && view) known = { size: Number(view.getBigUint64(0)), flags: view.getUint16(8) };
    if (type === Info.blockSize && view) blockSizes = sizesOf(view);
  }
}

/** Bytes of data of what is understood. */
const LENGTHS: Readonly<Record<number, number>> = { [Info.export]: 10, [Info.blockSize]: 12 };

/** One piece of information; what is not understood has no `view`. */
async function information(
  incoming: Incoming,
  { length }: OptionReply,
): Promise<{ readonly type: number; readonly view?: DataView }> {
  if (length < 2) throw wrong(`NBD_REP_INFO length ${length} is too short`);
  const type = (await incoming.view(2, 'info type')).getUint16(0);
  const expected = LENGTHS[type];
  const left = length - 2;
  if (expected === undefined) {
    await incoming.skip(left, 'info');
    return { type };
  }
  if (left !== expected) throw wrong(`remaining export info len ${left} is unexpected size`);
  return { type, view: await incoming.view(left, 'info size') };
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

function sizesOf(view: DataView): BlockSizes {
  const [minimum, preferred, maximum] = [view.getUint32(0), view.getUint32(4), view.getUint32(8)];
  if (!isPowerOfTwo(minimum)) throw wrong(`server minimum block size ${minimum} is not a power of two`);
  if (!isPowerOfTwo(preferred) || preferred < minimum) {
    throw wrong(`server preferred block size ${preferred} is not valid`);
  }
  if (maximum < minimum) throw wrong(`server maximum block size ${maximum} is not valid`);
  return { minimum, preferred, maximum };
}

function checked(known: KnownExport): KnownExport {
  const { minimum = 1 } = known.blockSizes ?? {};
  if (known.size % minimum === 0) return known;
  throw wrong(`export size ${known.size} is not multiple of minimum block size ${minimum}`);
}

/** Chooses the export with `NBD_OPT_EXPORT_NAME`: a server that does not have it hangs up. */
export async function exportByName(options: Options, name: string, zeroes: boolean): Promise<KnownExport> {
  const { incoming } = options;
  await options.ask(Option.exportName, nameBytes(name));
  const size = (await incoming.view(8, 'export length')).getBigUint64(0);
  const flags = (await incoming.view(2, 'export flags')).getUint16(0);
  if (zeroes) await incoming.skip(124, 'reserved block');
  return { size: Number(size), flags };
}
