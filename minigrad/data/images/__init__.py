"""A data set from pictures: from folders of them, or one by one, in the form of MNIST's or not."""
