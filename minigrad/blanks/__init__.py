"""Build it yourself: the library's own classes with their bodies taken out, to be filled in.

    minigrad build start mylib      a folder with eleven files, in the order of the lessons
    minigrad build check mylib      what is right, what is wrong and by how much, what comes next
    minigrad build run mylib 05     a lesson that runs on your classes

A blank is made from the library's source, and compared with it. So the two cannot drift apart.
"""
