# raylet_example(NAME SOURCES…): a user's program: links the shared library alone and sees the public headers alone.
function(raylet_example name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE raylet::ray Threads::Threads)
endfunction()
raylet_example(parameter_server examples/parameter_server.cc)
add_subdirectory(examples/fashion_mnist)
raylet_example(fashion_mnist examples/fashion_mnist.cc)
target_link_libraries(fashion_mnist PRIVATE fashion_mnist_parts)
