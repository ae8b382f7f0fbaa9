"""`make clean IMAGES=1` removes Assay's images, and none that others named, use or built on ours."""

from __future__ import annotations

from typing import Any

import docker  # type: ignore[import-untyped]

from driver.stacks.image_removal import remove_from

RECIPE = {"assay.recipe": "ab"}


class Api:
    """Lists images by label and removes names; a container uses those in ``used``."""

    def __init__(self, *images: dict[str, Any], used: tuple[str, ...] = ()) -> None:
        self._images = images
        self._used = used
        self.removed: list[str] = []

    def images(self, *, filters: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            image
            for image in self._images
            if filters["label"] in image["Labels"]
            and (not filters.get("dangling") or not image["RepoTags"])
        ]

    def remove_image(self, image: str) -> None:
        if image in self._used:
            raise docker.errors.APIError("image is being used by stopped container 123")
        self.removed.append(image)


def image(labels: dict[str, str], *tags: str, identity: str = "sha256:1") -> dict[str, Any]:
    return {"Id": identity, "RepoTags": list(tags), "Labels": labels}


def test_stack_images_bases_made_here_and_builders_are_removed() -> None:
    api = Api(
        image(RECIPE, "assay/cpu:ort-1"),
        image(RECIPE, "localhost/assay/nvidia:trt-2"),
        image({"assay.rootfs": "cd"}, "assay/base:bookworm-3"),
        image({"assay.builder": "k"}, identity="sha256:b"),
    )
    done = remove_from(api)  # type: ignore[arg-type]
    assert done.refused == ()
    assert sorted(api.removed) == sorted(done.removed)
    assert set(done.removed) == {
        "assay/cpu:ort-1",
        "localhost/assay/nvidia:trt-2",
        "assay/base:bookworm-3",
        "sha256:b",
    }


def test_images_of_others_are_kept_even_when_based_on_ours() -> None:
    api = Api(
        image({}, "assay/of-somebody-else:1"),
        image(RECIPE, "lab/derived:1"),
        image(RECIPE, identity="sha256:derived-and-untagged"),
        image(RECIPE, "assay/cpu:ort-1", "lab/kept:1"),
        image({"assay.rootfs": "cd"}, "registry.example/assay/base:1"),
        image({}, "debian:12"),
    )
    assert remove_from(api).removed == ("assay/cpu:ort-1",)  # type: ignore[arg-type]
    assert api.removed == ["assay/cpu:ort-1"]


def test_an_image_that_a_container_uses_is_refused_and_named() -> None:
    api = Api(
        image(RECIPE, "assay/cpu:ort-1"),
        image(RECIPE, "assay/cpu:ort-2"),
        used=("assay/cpu:ort-1",),
    )
    done = remove_from(api)  # type: ignore[arg-type]
    assert done.refused == ("assay/cpu:ort-1",)
    assert done.removed == ("assay/cpu:ort-2",)
