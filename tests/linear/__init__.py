"""Whatever comes from outside is worked on in linear time: four times the input costs at most six
times as much.
"""
