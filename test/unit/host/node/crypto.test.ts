import { nodeCrypto } from '../../../../src/host/node/crypto.ts';
import { checkCrypto } from '../cryptoChecks.ts';

checkCrypto(nodeCrypto());
