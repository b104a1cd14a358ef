"""How the page of an inspection looks, and what it may do."""

# Nothing is loaded, no script runs, no form is sent.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'"

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #222; line-height: 1.45;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1, h2 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin-top: 2.2rem; padding-top: .6rem; border-top: 1px solid #ddd; }
nav { display: flex; flex-wrap: wrap; gap: .4rem 1rem; margin: 1rem 0; }
a { color: #2f6f4f; }
p, summary, figcaption, .long, tbody th { overflow-wrap: anywhere; }
.long { min-width: 9rem; }
.path, .small { color: #5a5a5a; font-size: .85rem; }
.bad, .good { font-weight: 600; padding: .5rem .75rem; border-radius: 4px; }
.bad { background: #fbe9e7; color: #8a1c0f; }
.good { background: #e7f3ec; color: #1f5638; }
.finding { margin: .6rem 0; }
summary { cursor: pointer; }
.problem, .to-know { display: inline-block; margin-right: .5rem; padding: 0 .45rem;
  border-radius: 3px; font-size: .8rem; white-space: nowrap; }
.problem { background: #b3261e; color: #fff; }
.to-know { background: #e6e6e6; color: #333; }
.scroll { overflow: auto; width: fit-content; max-width: 100%; max-height: 36rem;
  margin: .5rem 0; border: 1px solid #ddd; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .2rem .5rem; text-align: left; vertical-align: top; }
td { border-top: 1px solid #eee; min-width: 2.5rem; }
thead th { position: sticky; top: 0; background: #f4f4f4; }
tbody th { font-weight: normal; border-top: 1px solid #eee; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
table.bars { width: 66rem; max-width: 100%; }
table.bars tbody th { min-width: 7rem; max-width: 22rem; }
.bar { width: 45%; min-width: 5rem; vertical-align: middle; }
.bar div { display: flex; height: .75rem; }
.bar i { display: block; height: 100%; min-width: 1px; }
.key { display: inline-block; margin-right: 1rem; padding-left: .4rem; border-left: .8rem solid; }
figure { margin: .5rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
.matrix { display: block; max-width: none; }
.sheet { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
.frames { display: flex; gap: 2px; }
.frames img { width: 33%; object-fit: contain; }
.finding .scroll { max-height: 16rem; }
@media (max-width: 40rem) {
  .segment { display: none; }
  .bar { width: 30%; min-width: 4rem; }
  table.bars tbody th { min-width: 6rem; }
  th, td { padding: .2rem .35rem; }
}
.sheet figcaption b, .sheet figcaption span { display: block; }
"""
