/** What `info` shows about an image. */
import type { FormatInfo, InfoValue } from '../../block/capabilities.ts';
import type { Extent } from './extent.ts';
import type { VmdkImage } from './image.ts';

function describe(extent: Extent): { readonly [key: string]: InfoValue } {
  return {
    ...(extent.compressed ? { compressed: true } : {}),
    'virtual-size': extent.bytes,
    ...(extent.storage ? { filename: extent.storage.name } : {}),
    ...(extent.grainBytes > 0 ? { 'cluster-size': extent.grainBytes } : {}),
    format: extent.type,
  };
}

/** Content ids, kind of image, and all extents. Extents that differ leave no common properties to show. */
export function infoOf(image: VmdkImage): FormatInfo {
  const [first] = image.extents;
  const alike = image.extents.every(
    ({ grainBytes, compressed }) => grainBytes === first?.grainBytes && compressed === first.compressed,
  );
  return {
    ...(alike && first && first.grainBytes > 0 ? { clusterSize: first.grainBytes } : {}),
    ...(alike ? { dirty: false } : {}),
    specific: {
      type: 'vmdk',
      data: {
        cid: image.contentId,
        'parent-cid': image.parentContentId,
        'create-type': image.createType,
        extents: image.extents.map(describe),
      },
    },
  };
}
