/** Which characters a name or a line may hold that other people read. */

/**
 * One line of what can be seen. Invisible characters, and those that turn the direction of writing, would let a name look like
 * another on a page where somebody trusts it.
 */
export const plain_text = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]*$/u;
