from pathlib import Path

from brushwork.data.folder import scan_folder
from brushwork.data.images import read_image
from brushwork.data.sources.modes import MODE_STYLES, MODES, mode_image, mode_jitter, write_modes
from brushwork.data.split import split_of


def test_files_share_their_jitter_and_training_has_every_mode(tmp_path: Path) -> None:
    assert write_modes(tmp_path, repeats=10, size=16) == 640
    scan = scan_folder(tmp_path)
    assert scan.style_names == MODE_STYLES
    subjects = {style: [one.subject for one in scan.files if one.style == style] for style in range(4)}
    assert subjects[0] == subjects[1] == subjects[2] == subjects[3]
    trained = {name.rsplit("-", 1)[0] for name in subjects[0] if split_of(name) == "train"}
    assert trained == {"-".join(mode) for mode in MODES}
    last = read_image(tmp_path / "outline" / f"{'-'.join(MODES[5])}-09.png")
    assert (last == mode_image(MODES[5], "outline", 16, mode_jitter(MODES[5], 9))).all()
