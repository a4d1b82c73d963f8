/** The engine's own word for a code that a person typed and that was used before, and a check at start that it is still there. */

import { AlreadyUsedError } from 'oidc-provider/lib/helpers/re_render_errors.js';

/** Of all errors only its own class leads the engine back to the field for the code. */
export function codeIsUsed(): Error {
  return new AlreadyUsedError();
}

/** @throws Error when the engine no longer has it */
export function checkDeviceErrors(): void {
  if (!(codeIsUsed() instanceof Error) || codeIsUsed().name !== 'AlreadyUsedError')
    throw new Error('the engine changed: AlreadyUsedError is gone');
}
