"""The look of the report's page: one style sheet, for wide windows, phones and paper."""

STYLE = """
:root { color-scheme: light; --ink: #1f2430; --muted: #596275; --line: #dfe3ea; --accent: #3056a0; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f6f8; color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.25; letter-spacing: -.02em; }
h2 { margin: 0 0 .4rem; font-size: 1.15rem; }
h3 { margin: 1.5rem 0 .2rem; font-size: 1rem; }
p { margin: 0 0 1rem; max-width: 48rem; overflow-wrap: anywhere; }
.muted, dt { color: var(--muted); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; }
.cards { margin: 1.5rem 0; }
.card, section { background: #fff; border: 1px solid var(--line); border-radius: .75rem; }
.card, section { padding: 1.1rem 1.25rem; }
.card b { display: block; font-size: 2rem; line-height: 1.3; color: var(--accent); overflow-wrap: anywhere; }
.card b.words { font-size: 1.35rem; line-height: 1.3; padding: .4rem 0 .43rem; }
.card span { display: block; font-size: .9rem; line-height: 1.45; }
section { margin: 1rem 0; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
img { display: block; max-width: 100%; height: auto; }
img.plot { width: 100%; min-width: 34rem; }
img.grid { min-width: min(100%, 40rem); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .75rem; border-top: 1px solid var(--line); }
th, td { text-align: right; vertical-align: baseline; }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
tbody th, th.word, td.word { text-align: left; }
thead th { border-top: 0; color: var(--muted); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; }
.figures .group th { padding-top: 1.1rem; color: var(--accent); font-weight: 600; }
.figures td { white-space: nowrap; }
.figures td[data-label="worst style"] { white-space: normal; overflow-wrap: anywhere; }
.figures td .muted, .better { white-space: nowrap; }
.better { margin-right: .35rem; padding: .1rem .5rem; border-radius: 1rem; background: #eef1f6; }
.note td { border: 0; padding: 0 0 .55rem; text-align: left; white-space: normal; }
.note td { color: var(--muted); font-size: .85rem; line-height: 1.45; }
.baseline th { padding-left: 1.25rem; font-weight: 400; }
.baseline th, .baseline td { border: 0; padding-top: 0; }
.badge { padding: .1rem .5rem; border-radius: 1rem; white-space: nowrap; }
.badge { background: #fdf0d5; color: #7a3300; font-size: .85rem; font-weight: 600; }
.styles { min-width: 54rem; margin-bottom: 1.5rem; font-size: .9rem; }
.styles { border-collapse: separate; border-spacing: 0; }
.styles th, .styles td { padding: .35rem .5rem; }
.styles thead th { min-width: 5.2rem; line-height: 1.3; }
.styles th:first-child { min-width: 9rem; padding-left: 0; }
.styles th:first-child { position: sticky; left: 0; background: #fff; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) minmax(0, 1fr); gap: .3rem 1.25rem; }
dl { margin: 0; }
dl dl { font-size: .9rem; }
dt, dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 44rem) {
  main { padding: 1.5rem .75rem 3rem; }
  img.grid { min-width: 34rem; }
  .card, section { padding: .9rem 1rem; }
  .figures thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .figures, .figures tbody, .figures tr, .figures th, .figures td { display: block; width: auto; }
  .figures th, .figures td { padding: 0; text-align: left; border: 0; }
  .figures tbody { border-top: 1px solid var(--line); padding: .6rem 0; }
  .figures td[data-label] { text-align: right; }
  .figures td[data-label]::before { content: attr(data-label); float: left; color: var(--muted); }
  .figures td[data-label]::before { margin-right: 1rem; }
  .figures td.none { display: none; }
  .figures .note td { padding-top: .2rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dl dl { padding-left: .75rem; border-left: 2px solid var(--line); }
  dd { margin-bottom: .5rem; }
}
@media print { section { break-inside: avoid; } body { background: #fff; } }
"""
