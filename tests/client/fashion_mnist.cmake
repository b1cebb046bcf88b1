if(NOT TARGET fashion_mnist_parts)
  add_subdirectory(${PROJECT_SOURCE_DIR}/client/examples/fashion_mnist
                   ${PROJECT_BINARY_DIR}/client/examples/fashion_mnist)
endif()
raylet_test(fashion_mnist_idx_reader_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/fashion_mnist_idx_reader_test.cc
            LINK fashion_mnist_parts raylet_test_harness ZLIB::ZLIB)
raylet_test(fashion_mnist_model_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/fashion_mnist_model_test.cc
            LINK fashion_mnist_parts)
raylet_test(fashion_mnist_training_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/fashion_mnist_training_test.cc
            LINK fashion_mnist_parts)
raylet_test(fashion_mnist_flags_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/fashion_mnist_flags_test.cc
            LINK fashion_mnist_parts)
