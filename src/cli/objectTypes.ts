/** The object types of `--object` and their properties. */

/** Kind of a property's value. */
export type PropertyKind =
  | 'string'
  | 'bool'
  | 'int'
  | readonly string[]
  /** A structure that is accepted without a look inside. */
  | 'any'
  | 'limits'
  | 'rules';

/** One property. */
interface PropertySpec {
  readonly kind: PropertyKind;
  /** Name of the type in help texts, if it is not that of the kind. */
  readonly typeName?: string;
  readonly required?: boolean;
}

/** Properties by name, in the order in which they are looked at. */
export type ObjectType = Readonly<Record<string, PropertySpec>>;

const TEXT: PropertySpec = { kind: 'string' };
const REQUIRED: PropertySpec = { kind: 'string', required: true };
const BOOL: PropertySpec = { kind: 'bool' };
const INT: PropertySpec = { kind: 'int' };
const FORMAT: PropertySpec = { kind: ['raw', 'base64'], typeName: 'QCryptoSecretFormat' };
const ENDPOINT: PropertySpec = { kind: ['client', 'server'], typeName: 'QCryptoTLSCredsEndpoint' };
const TLS: ObjectType = { 'verify-peer': BOOL, dir: TEXT, endpoint: ENDPOINT, priority: TEXT };

/** The properties of `limits`, which is the newer way to say what `x-` names say one by one. */
export const THROTTLE_LIMITS: ObjectType = throttleLimits();

function throttleLimits(): ObjectType {
  const limits: Record<string, PropertySpec> = {};
  for (const unit of ['iops', 'bps']) {
    for (const direction of ['total', 'read', 'write']) {
      for (const suffix of ['', '-max', '-max-length']) limits[`${unit}-${direction}${suffix}`] = INT;
    }
  }
  limits['iops-size'] = INT;
  return limits;
}

function throttleGroup(): ObjectType {
  const older = Object.entries(THROTTLE_LIMITS).map(([name, spec]) => [`x-${name}`, spec] as const);
  return { limits: { kind: 'limits', typeName: 'ThrottleLimits' }, ...Object.fromEntries(older) };
}

/** Types that can be created. */
export const OBJECT_TYPES: Readonly<Record<string, ObjectType>> = {
  'authz-list': {
    policy: { kind: ['allow', 'deny'], typeName: 'QAuthZListPolicy' },
    rules: { kind: 'rules', typeName: 'QAuthZListRule' },
  },
  'authz-list-file': { filename: REQUIRED, refresh: BOOL },
  'authz-simple': { identity: REQUIRED },
  'main-loop': { 'aio-max-batch': INT, 'thread-pool-min': INT, 'thread-pool-max': INT },
  'pr-manager-helper': { path: REQUIRED },
  secret: { format: FORMAT, keyid: TEXT, iv: TEXT, data: TEXT, file: TEXT },
  secret_keyring: {
    format: FORMAT,
    keyid: TEXT,
    iv: TEXT,
    serial: { kind: 'int', typeName: 'int32_t', required: true },
  },
  'thread-context': {
    'cpu-affinity': { kind: 'any', typeName: 'int' },
    'node-affinity': { kind: 'any', typeName: 'int' },
  },
  'throttle-group': throttleGroup(),
  'tls-creds-anon': TLS,
  'tls-creds-psk': { ...TLS, username: TEXT },
  'tls-creds-x509': { ...TLS, 'sanity-check': BOOL, passwordid: TEXT },
};

/** Types whose support is not built in: listed by help, but refused like unknown ones. */
export const ABSENT_TYPES: readonly string[] = ['authz-list-file'];

/**
 * Types that exist only inside a virtual machine, with the properties that are missed first. Given these, the answer is
 * `invalid object type`.
 */
export const MACHINE_TYPES: Readonly<Record<string, readonly string[]>> = {
  'acpi-generic-initiator': ['pci-dev', 'node'],
  'acpi-generic-port': ['pci-bus', 'node'],
  'authz-pam': ['service'],
  'can-bus': [],
  'can-host-socketcan': ['if', 'canbus'],
  'colo-compare': ['primary_in', 'secondary_in', 'outdev', 'iothread'],
  'cryptodev-backend': [],
  'cryptodev-backend-builtin': [],
  'cryptodev-backend-lkcf': [],
  'cryptodev-vhost-user': ['chardev'],
  'dbus-vmstate': ['addr'],
  'filter-buffer': ['netdev', 'interval'],
  'filter-dump': ['netdev', 'file'],
  'filter-mirror': ['netdev', 'outdev'],
  'filter-redirector': ['netdev'],
  'filter-replay': ['netdev'],
  'filter-rewriter': ['netdev'],
  'input-barrier': ['name'],
  'input-linux': ['evdev'],
  iommufd: [],
  iothread: [],
  'memory-backend-epc': ['size'],
  'memory-backend-file': ['size', 'mem-path'],
  'memory-backend-memfd': ['size'],
  'memory-backend-ram': ['size'],
  'memory-backend-shm': ['size'],
  'pef-guest': [],
  qtest: ['chardev'],
  'rng-builtin': [],
  'rng-egd': ['chardev'],
  'rng-random': [],
  's390-pv-guest': [],
  'sev-guest': ['reduced-phys-bits'],
  'sev-snp-guest': ['reduced-phys-bits'],
  'tdx-guest': [],
  'tls-cipher-suites': [],
  'x-remote-object': ['fd', 'devid'],
  'x-vfio-user-server': ['socket', 'device'],
};

function typeName(spec: PropertySpec): string {
  return spec.typeName ?? String(spec.kind);
}

/** `--object TYPE,help`: the properties of one type, or the list of all types if there is no such type. */
export function objectHelp(type: string | undefined): string {
  const properties = type !== undefined && Object.hasOwn(OBJECT_TYPES, type) ? OBJECT_TYPES[type] : undefined;
  if (properties === undefined) {
    const names = Object.keys(OBJECT_TYPES).map((name) => `  ${name}\n`);
    return `List of user creatable objects:\n${names.join('')}`;
  }
  const lines = Object.entries(properties).map(([name, spec]) => `  ${name}=<${typeName(spec)}>\n`);
  return `${type} options:\n${lines.sort().join('')}`;
}
