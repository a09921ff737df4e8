/** `--object`: secrets, TLS credentials and the other objects that a description may refer to. */
import { BlockError, invalidArgument, unsupported } from '../base/error.ts';
import { parseInteger } from '../base/size.ts';
import { isEscaped, textOf as toText } from '../base/text.ts';
import type { SecretStore } from '../block/services.ts';
import { parseBool } from '../options/coerce.ts';
import { isTree, type OptionNode } from '../options/dotted.ts';
import { parseJson } from '../options/jsonName.ts';
import { identifierError, isIdentifier, parseProperties } from '../options/keyval.ts';
import type { OptionTree } from '../options/tree.ts';
import type { NamedObject, ObjectStore, TlsCredentials } from '../block/objects.ts';
import type { CommandIo } from './io.ts';
import {
  ABSENT_TYPES,
  MACHINE_TYPES,
  OBJECT_TYPES,
  objectHelp,
  type ObjectType,
  type PropertyKind,
  THROTTLE_LIMITS,
} from './objectTypes.ts';
import { loadSecret, unknownSecret } from './secrets.ts';
import { throttleGroup } from './throttleGroup.ts';

/** An object that nothing in an image asks for. */
const OTHER: NamedObject = { type: 'other' };

/** Values of properties after their kinds were checked. */
type Values = Readonly<Record<string, OptionNode>>;

/** The text of a property that is known to be one. */
function textOf(node: OptionNode | undefined): string {
  return typeof node === 'string' ? node : '';
}

/** The objects of one command line. */
export class ObjectRegistry implements SecretStore {
  readonly #io: CommandIo;
  /** Bytes of secrets, and other objects, by id. */
  readonly #objects = new Map<string, Uint8Array | NamedObject>();
  /** What is no secret, for those who ask for it; that a secret has an id, it tells, too. */
  readonly named: ObjectStore = {
    get: (id) => {
      const object = this.#objects.get(id);
      return object instanceof Uint8Array ? OTHER : object;
    },
  };

  constructor(io: CommandIo) {
    this.#io = io;
  }

  /** The bytes of a secret as a passphrase, which has to be text. */
  get(id: string): Uint8Array {
    const secret = this.#bytes(id);
    if (secret.includes(0) || isEscaped(toText(secret)))
      throw invalidArgument(`Data from secret ${id} is not valid UTF-8`);
    return secret;
  }

  #bytes(id: string): Uint8Array {
    const secret = this.#objects.get(id);
    if (secret === undefined) throw unknownSecret(id);
    if (secret instanceof Uint8Array) return secret;
    throw invalidArgument(`Object with id '${id}' is not a secret`);
  }

  /** Creates the object of one `--object` argument; a call for help gives a text instead. */
  async add(text: string): Promise<string | undefined> {
    const { tree, typed, help } = parseObject(text);
    const type = tree['qom-type'];
    if (help) return objectHelp(typeof type === 'string' ? type : undefined);
    if (type === undefined) throw invalidArgument("Parameter 'qom-type' is missing");
    if (typeof type !== 'string') throw wrongType('qom-type', 'string');
    const machine = Object.hasOwn(MACHINE_TYPES, type) ? MACHINE_TYPES[type] : undefined;
    const known = Object.hasOwn(OBJECT_TYPES, type) && !ABSENT_TYPES.includes(type);
    if (machine === undefined && !known) throw invalidArgument(`Parameter 'qom-type' does not accept value '${type}'`);
    const id = stringValue('id', tree['id'], typed);
    if (id === undefined) throw invalidArgument("Parameter 'id' is missing");
    for (const name of machine ?? [])
      if (tree[name] === undefined) throw invalidArgument(`Parameter '${name}' is missing`);
    const values = machine === undefined ? propertyValues(type, tree, typed) : {};
    if (!isIdentifier(id)) throw identifierError();
    if (machine !== undefined) throw invalidArgument(`invalid object type: ${type}`);
    if (this.#objects.has(id)) {
      throw invalidArgument(`attempt to add duplicate property '${id}' to object (type 'container')`);
    }
    this.#objects.set(id, await this.#complete(id, type, values));
    return undefined;
  }

  /** What an object does when it comes to life. Secrets give their bytes. */
  async #complete(id: string, type: string, values: Values): Promise<Uint8Array | NamedObject> {
    switch (type) {
      case 'secret':
        return this.#secret(id, values);
      case 'secret_keyring': {
        const serial = Number(values['serial']).toString(16).padStart(8, '0');
        throw unsupported(`Unable to read serial key ${serial}: Required key not available`);
      }
      case 'pr-manager-helper':
        throw invalidArgument(
          `Failed to connect to '${textOf(values['path'])}': ${await this.#connectFailure(textOf(values['path']))}`,
        );
      case 'tls-creds-anon':
      case 'tls-creds-psk':
      case 'tls-creds-x509': {
        const { checkCredentials } = await import('../host/node/tlsCredentials.ts');
        const named = credentials(type, values);
        await checkCredentials(named, (name) => this.#io.readFile(name));
        return named;
      }
      case 'throttle-group':
        return throttleGroup(values);
      default:
        return OTHER;
    }
  }

  async #secret(id: string, values: Values): Promise<Uint8Array> {
    const isPlain = values['data'] !== undefined && values['keyid'] === undefined;
    if (isPlain && (await this.#io.isWatched?.())) {
      this.#io.err(`qimg: warning: secret '${id}': everybody on this machine can read command lines; use file=NAME\n`);
    }
    return loadSecret(values, this.#io, { get: (other) => this.#bytes(other) });
  }

  /** Overwrites the bytes of all secrets: nobody needs them any more. */
  wipe(): void {
    for (const object of this.#objects.values()) if (object instanceof Uint8Array) object.fill(0);
  }

  async #connectFailure(path: string): Promise<string> {
    try {
      await this.#io.readFile(path);
      return 'Connection refused';
    } catch (thrown) {
      return thrown instanceof BlockError && thrown.kind === 'not-found' ? thrown.strerror : 'Connection refused';
    }
  }
}

/** The description of an object; `typed` values come from JSON. */
function parseObject(text: string): { tree: OptionTree; typed: boolean; help: boolean } {
  if (!text.startsWith('{')) return { ...parseProperties(text, 'qom-type'), typed: false };
  const tree = parseJson(text);
  return { tree: tree as OptionTree, typed: true, help: false };
}

function wrongType(name: string, expected: string): BlockError {
  return invalidArgument(`Invalid parameter type for '${name}', expected: ${expected}`);
}

function stringValue(name: string, node: OptionNode | undefined, typed: boolean): string | undefined {
  if (node === undefined || typeof node === 'string') return node;
  throw typed ? wrongType(name, 'string') : invalidArgument(`Parameters '${name}.*' are unexpected`);
}

/** Checks the properties of a type that can be created, in the order of its table, then what is left over. */
function propertyValues(type: string, tree: OptionTree, typed: boolean): Values {
  const { 'qom-type': _, id: __, ...own } = tree;
  return valuesOf(OBJECT_TYPES[type] ?? {}, own, typed);
}

/** @param parent the property that these are properties of, with a dot behind it. */
function valuesOf(specs: ObjectType, tree: OptionTree, typed: boolean, parent = ''): Values {
  const values: Record<string, OptionNode> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const node = tree[name];
    if (node !== undefined) values[name] = propertyValue(parent + name, spec.kind, node, typed);
    else if (spec.required === true) throw invalidArgument(`Parameter '${name}' is missing`);
  }
  const extra = Object.keys(tree).find((name) => !Object.hasOwn(specs, name));
  if (extra !== undefined) throw invalidArgument(`Parameter '${parent}${extra}' is unexpected`);
  return values;
}

function propertyValue(name: string, kind: PropertyKind, node: OptionNode, typed: boolean): OptionNode {
  if (kind === 'any') return node;
  if (kind === 'rules') return checkRules(node);
  if (kind === 'limits') {
    if (!isTree(node)) throw wrongType(name, 'object');
    return valuesOf(THROTTLE_LIMITS, node, typed, `${name}.`);
  }
  if (kind === 'bool' && typed) {
    if (typeof node !== 'boolean') throw wrongType(name, 'boolean');
    return node;
  }
  if (kind === 'int' && typed) {
    if (!Number.isInteger(node)) throw wrongType(name, 'integer');
    return node;
  }
  const text = stringValue(name, node, typed) ?? '';
  if (kind === 'bool') return parseBool(name, text);
  if (kind === 'int') {
    const parsed = parseInteger(text);
    if (parsed.kind !== 'ok') throw invalidArgument(`Parameter '${name}' expects integer`);
    return parsed.value;
  }
  if (kind !== 'string' && !kind.includes(text))
    throw invalidArgument(`Parameter '${name}' does not accept value '${text}'`);
  return text;
}

function isList(node: OptionNode): node is readonly OptionNode[] & OptionNode {
  return Array.isArray(node);
}

/** The rules of `authz-list`. */
function checkRules(node: OptionNode): OptionNode {
  if (!isList(node)) throw wrongType('rules', 'array');
  for (const [index, rule] of node.entries()) {
    if (!isTree(rule)) throw wrongType(`rules.${index}`, 'object');
    for (const name of ['match', 'policy']) {
      if (rule[name] === undefined) throw invalidArgument(`Parameter 'rules.${index}.${name}' is missing`);
    }
    propertyValue('policy', ['allow', 'deny'], rule['policy'] ?? '', false);
  }
  return node;
}

/** TLS credentials of properties whose kinds were checked. */
function credentials(type: TlsCredentials['type'], values: Values): TlsCredentials {
  const text = (name: string): string | undefined => (values[name] === undefined ? undefined : textOf(values[name]));
  const named = {
    dir: text('dir'),
    priority: text('priority'),
    passwordId: text('passwordid'),
    username: text('username'),
  };
  return {
    type,
    endpoint: values['endpoint'] === 'server' ? 'server' : 'client',
    verifyPeer: values['verify-peer'] !== false,
    ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)),
  };
}
