# The whole program on daemons of its own.
function(fashion_mnist_program_test name)
  raylet_test(${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}.cc LINK raylet_test_harness TIMEOUT 300 LABELS ${ARGN})
  add_dependencies(${name} fashion_mnist parameter_server plasma_store raylet)
endfunction()
fashion_mnist_program_test(fashion_mnist_program_test daemon)
if(NOT RAYLET_SANITIZE)  # whole trainings: half a minute each, and far too long under a sanitizer
  fashion_mnist_program_test(fashion_mnist_figures_test slow)
endif()
