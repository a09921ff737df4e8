/** Objects besides images that options name by their ids (`--object`): TLS credentials, groups of throttled disks. */

/**
 * Who somebody is, and whom he trusts, on a connection with TLS. Only the place of the files is kept: they are read when a
 * connection needs them, by the host's {@link NetPort}.
 */
export interface TlsCredentials {
  /** Certificates; keys that both sides have; nothing but a Diffie-Hellman exchange. */
  readonly type: 'tls-creds-x509' | 'tls-creds-psk' | 'tls-creds-anon';
  /**
   * Directory of the files: `ca-cert.pem`, and if the server asks who one is `client-cert.pem` and `client-key.pem`; or
   * `keys.psk`.
   */
  readonly dir?: string;
  /** Which side of connections they are for. Default: `client`. */
  readonly endpoint?: 'client' | 'server';
  /** Whether the other side's certificate is checked. Default: true. */
  readonly verifyPeer?: boolean;
  /** Versions and ciphers that may be used, in the words of GnuTLS. Default: those of the host. */
  readonly priority?: string;
  /** Id of the secret that the private key is encrypted with. */
  readonly passwordId?: string;
  /** Whose key of `keys.psk` is used. Default: `qemu`. */
  readonly username?: string;
}

/**
 * Limits of a group: requests (`iops`) or bytes (`bps`) in a second; what they may be for a short time (`-max`), and for how
 * many seconds (`-max-length`). `iops-size`: bytes that count as one request. Absent or 0: none.
 */
export type ThrottleLimits = {
  readonly [name in
    | `${'iops' | 'bps'}-${'total' | 'read' | 'write'}${'' | '-max' | '-max-length'}`
    | 'iops-size']?: number;
};

/** Disks that share limits. */
export interface ThrottleGroup {
  readonly type: 'throttle-group';
  readonly limits: ThrottleLimits;
}

/** An object that has an id but means nothing to images, or a secret: these are in `Services.secrets`. */
export interface OtherObject {
  readonly type: 'other';
}

/** What an id can stand for. */
export type NamedObject = TlsCredentials | ThrottleGroup | OtherObject;

/** Objects by their ids. */
export interface ObjectStore {
  /** Undefined: there is none of that id. The same object at each call, so that state can be kept beside it. */
  get(id: string): NamedObject | undefined;
}
