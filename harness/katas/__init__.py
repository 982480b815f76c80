"""The harness's side of the katas: visible files, commits, and where katas are kept.

Katas are in a folder, or in volumes behind keepers. What keepers themselves run is in
`harness.inside`.
"""
