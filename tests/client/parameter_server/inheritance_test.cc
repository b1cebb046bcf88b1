// The state of a new shard out of the states of old ones.
#include "client/parameter_server/inheritance.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <vector>

#include "tests/client/parameter_server/in_process_fixture.h"

namespace inheritance_test {

using ray::Array;
using ray::ps::internal::Inheritance;
using ray::ps::internal::Inherited;
using ray::ps::internal::Merge;
using ray::ps::internal::ShardState;

class InheritanceTest : public parameter_server_test::InProcess {
 protected:
  // Parameter i has the value i, and its slot 100 + i.
  static std::shared_ptr<ShardState<float>> State(size_t begin, size_t size, uint64_t steps) {
    std::vector<float> values(size), slot(size);
    std::iota(values.begin(), values.end(), static_cast<float>(begin));
    std::iota(slot.begin(), slot.end(), static_cast<float>(100 + begin));
    auto state = std::make_shared<ShardState<float>>();
    state->values = Array<float>::CopyOf(values);
    state->slots.push_back(Array<float>::CopyOf(slot));
    state->steps = steps;
    state->updates_lost = steps;
    return state;
  }
  static std::vector<float> VectorOf(const Array<float>& array) { return {array.begin(), array.end()}; }
};

TEST_F(InheritanceTest, AShardTakesItsPartOfSeveral) {
  Inheritance<float> inheritance;
  inheritance.begin = 2;
  inheritance.offsets = {0, 3, 5};
  const Inherited<float> merged = Merge<float>(inheritance, {State(0, 3, 6), State(3, 2, 7), State(5, 4, 5)}, 5, 1);
  EXPECT_EQ(VectorOf(merged.values), (std::vector<float>{2, 3, 4, 5, 6}));
  EXPECT_EQ(merged.slots[0], (std::vector<float>{102, 103, 104, 105, 106}));
  EXPECT_EQ(merged.steps, 7U);
  EXPECT_EQ(merged.updates_lost, 7U);
}

TEST_F(InheritanceTest, AGradientOfTheRoundUnderWayIsZeroWhereAShardLacksIt) {
  const auto first = State(0, 2, 0), second = State(2, 2, 0);
  first->held.push_back({1, 50, 0.5, Array<float>::CopyOf(std::vector<float>{7, 8})});
  first->held.push_back({0, 40, 1, Array<float>::CopyOf(std::vector<float>{1, 2})});
  second->held.push_back({0, 40, 1, Array<float>::CopyOf(std::vector<float>{3, 4})});
  Inheritance<float> inheritance;
  inheritance.begin = 1;
  inheritance.offsets = {0, 2};
  const Inherited<float> merged = Merge<float>(inheritance, {first, second}, 3, 1);
  ASSERT_EQ(merged.held.size(), 2U);
  EXPECT_EQ(merged.held[0].sequence, 50U);
  EXPECT_EQ(merged.held[0].scale, 0.5);
  EXPECT_EQ(VectorOf(merged.held[0].values), (std::vector<float>{8, 0, 0}));
  EXPECT_EQ(merged.held[1].rank, 0U);
  EXPECT_EQ(VectorOf(merged.held[1].values), (std::vector<float>{2, 3, 4}));
}

}  // namespace inheritance_test
