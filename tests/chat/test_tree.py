"""Branches: the path to a leaf, what stands beside a message, where a branch ends."""

from hypothesis import given
from hypothesis import strategies as st

from omni.chat.tree import MessageNode, Tree


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Any tree (or several) of up to thirty messages."""
    nodes: list[MessageNode] = []
    for number in range(draw(st.integers(1, 30))):
        parent = draw(st.sampled_from([None, *(node.id for node in nodes)]))
        nodes.append(MessageNode(f"m{number}", parent, number))
    return Tree(draw(st.permutations(nodes)))


@given(trees(), st.data())
def test_a_path_begins_at_a_root_and_ends_in_its_leaf(tree: Tree, data: st.DataObject) -> None:
    leaf = data.draw(st.sampled_from(sorted(tree.nodes)))
    path = tree.path(leaf)
    assert tree.nodes[path[0]].parent is None
    assert path[-1] == leaf
    assert [tree.nodes[message].parent for message in path[1:]] == path[:-1]


@given(trees())
def test_siblings_partition_the_tree_oldest_first(tree: Tree) -> None:
    for message, node in tree.nodes.items():
        siblings = tree.siblings(message)
        assert message in siblings
        assert {tree.nodes[sibling].parent for sibling in siblings} == {node.parent}
        assert all(tree.siblings(sibling) == siblings for sibling in siblings)
        numbers = [tree.nodes[sibling].number for sibling in siblings]
        assert numbers == sorted(numbers)


@given(trees())
def test_a_branch_ends_in_its_newest_leaf(tree: Tree) -> None:
    for message in tree.nodes:
        leaf = tree.leaf(message)
        assert message in tree.path(leaf)
        assert not tree.children(leaf)
        others = [other for other in tree.nodes if message in tree.path(other) and not tree.children(other)]
        assert leaf == max(others, key=lambda other: tree.nodes[other].number)


def test_no_leaf_is_an_empty_path() -> None:
    assert Tree([]).path(None) == []
    assert Tree([]).path("gone") == []


def test_a_circle_does_not_hang() -> None:
    tree = Tree([MessageNode("a", "b", 1), MessageNode("b", "a", 2)])
    assert sorted(tree.path("a")) == ["a", "b"]
