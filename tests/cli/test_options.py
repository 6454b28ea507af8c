"""Points and boxes as they are typed."""

from edgekit.cli.options import box_from_text, point_from_text


def test_a_point_is_foreground_by_default():
    assert point_from_text("3,4.5") == ((3.0, 4.5), 1)
    assert point_from_text("3,4.5,1") == ((3.0, 4.5), 1)
    assert point_from_text("3, 4.5, 0") == ((3.0, 4.5), 0)


def test_a_box_keeps_the_order_of_its_sides():
    assert box_from_text("1,2,3.5,4") == (1.0, 2.0, 3.5, 4.0)
