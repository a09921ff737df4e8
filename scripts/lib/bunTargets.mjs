/**
 * What the standalone executable can be built for, and the compiler: Bun's packages of one platform each, which have no
 * install script. They are in no `package.json`: 50 MB each, of no use to anybody who does not build such a file.
 */

/** The version of Bun; all packages have the same. */
export const BUN_VERSION = '1.4.5';

/**
 * @typedef {object} Target
 * @property {string} package
 * @property {string} integrity of the package, as the lock file of npm has it
 * @property {string} program the file in the package
 */

/**
 * By name: system, processor, and which C library if that is not glibc.
 * @type {Readonly<Record<string, Target>>}
 */
export const TARGETS = {
  'linux-x64': {
    package: '@oven/bun-linux-x64',
    integrity: 'sha512-IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==',
    program: 'bin/bun',
  },
  'linux-arm64': {
    package: '@oven/bun-linux-aarch64',
    integrity: 'sha512-4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==',
    program: 'bin/bun',
  },
  'linux-x64-musl': {
    package: '@oven/bun-linux-x64-musl',
    integrity: 'sha512-10QoW/YfTgnURaGEaHpJCiXjLI2e5iTtfVDaA5JKcyUzaa1cq6cVUY9/Uq5XkYzvtRjHLRe9Oj/lTDIQcxy8HQ==',
    program: 'bin/bun',
  },
  'linux-arm64-musl': {
    package: '@oven/bun-linux-aarch64-musl',
    integrity: 'sha512-XCNc+WvvMAdNNb+OWTogpy+N9wm62fkVeEVLb6how0RZhW5LPi6c7BlkeVCuWps7XjEl2saFpHFa20/1E+PAHg==',
    program: 'bin/bun',
  },
  'darwin-x64': {
    package: '@oven/bun-darwin-x64',
    integrity: 'sha512-qkLPMGHZM9NI6CeHTWwVezzmlo6cC4Ta7yUAjYIWXS366qQcOlcp75t2uZyiuVRBMPS0h9qE0tCcvCHGaFqjJg==',
    program: 'bin/bun',
  },
  'darwin-arm64': {
    package: '@oven/bun-darwin-aarch64',
    integrity: 'sha512-4MIFXHmctH2EhAxLXm2/qxNtv17dFtLJylvaOCsrgq6KSqHTs6eW5YSrJjRbJxYUJaR901fsN8JfZOa+CsWpWQ==',
    program: 'bin/bun',
  },
  'windows-x64': {
    package: '@oven/bun-windows-x64',
    integrity: 'sha512-FNvply651vcE/GHgNWz6mZvhmkwBuu8Hw54oNzA+CQog+HW+542rXQmZqNHRkFxazD9L3xi+iTtvO3engAgJfw==',
    program: 'bin/bun.exe',
  },
};

/** The target of this machine; undefined if it is none. */
export function targetHere() {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const report = /** @type {any} */ (process.report.getReport());
  const musl = process.platform === 'linux' && report.header.glibcVersionRuntime === undefined;
  const name = `${system}-${process.arch}${musl ? '-musl' : ''}`;
  return name in TARGETS ? name : undefined;
}

/** The file that a program for a target is. */
export function fileOf(/** @type {string} */ program, /** @type {string} */ target) {
  return `${program}-${target}${target.startsWith('windows-') ? '.exe' : ''}`;
}
