import pytest

from provenance.models import SubmissionState

pytestmark = pytest.mark.django_db


def test_sealed_files_are_opened_by_the_content_key_alone(world):
    files = {"a/one.txt": b"one two three four five six", "two.csv": b"a,b\n1,2\n3,4\n", "empty.txt": b""}
    submission = world.publish(files)
    assert submission.state == SubmissionState.FINAL
    print(world.open_package(submission).keys())
