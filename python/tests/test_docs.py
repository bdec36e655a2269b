"""What is written about Tenon is true."""
from tenon_cli import ROOT, tenon_command


def test_the_table_of_ops_is_fresh():
    table = tenon_command("ops", "--markdown").stdout
    assert (ROOT / "docs" / "ops.md").read_text() == table, "run: build/tenon ops --markdown > docs/ops.md"


def test_documented_options_exist():
    help_text = {command: tenon_command(command, "--help").stdout for command in ["convert", "run", "bench", "compare", "inspect", "ops"]}
    everything = "".join(help_text.values())
    for page in ["README.md", "docs/cli.md"]:
        for word in (ROOT / page).read_text().replace("`", " ").split():
            option = word.strip(".,;:()[]").split("=")[0]
            if option.startswith("--") and len(option) > 2 and option not in ("--help", "--install"):
                assert option in everything, f"{page} names {option}"
