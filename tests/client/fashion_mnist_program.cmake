# The whole program on daemons of its own: two servers, two workers, bit for bit what one process computes.
add_test(NAME fashion_mnist_equals_one_process
  COMMAND fashion_mnist --model softmax --epochs 1 --compare)
set_tests_properties(fashion_mnist_equals_one_process PROPERTIES
  TIMEOUT 120 PASS_REGULAR_EXPRESSION "parameters equal those of a single process bit for bit"
  ENVIRONMENT "RAYLET_BIN_DIR=${CMAKE_BINARY_DIR}/bin")
