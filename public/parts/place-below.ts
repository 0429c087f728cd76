const MARGIN = 8

/** Puts a popover below the button that opens it, within the window. Not every browser has CSS anchors. */
export function placeBelow(event: Pick<ToggleEvent, 'currentTarget' | 'newState'>): void {
  const popover = event.currentTarget
  if (event.newState !== 'open' || !(popover instanceof HTMLElement)) return
  const button = document
    .querySelector(`[popovertarget="${CSS.escape(popover.id)}"]`)
    ?.getBoundingClientRect()
  if (button === undefined) return
  popover.style.top = `${button.bottom + 4}px`
  popover.style.maxHeight = `${Math.max(160, innerHeight - button.bottom - 2 * MARGIN)}px`
  const right = button.left > innerWidth / 2
  popover.style.left = right ? 'auto' : `${Math.max(MARGIN, button.left)}px`
  popover.style.right = right ? `${Math.max(MARGIN, innerWidth - button.right)}px` : 'auto'
}
