// Tables of rows by key through their public surface, in one process and on daemons with processes of their own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <ray/parameter_server.h>

#include "client/parameter_server/checkpoint.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/two_modes_fixture.h"
#include "tests/harness/run_folder.h"

namespace table_test {

using parameter_server_test::kThreeShards;
using parameter_server_test::MessageOf;
using parameter_server_test::NameOfMode;
using parameter_server_test::TwoModesTest;
namespace ps = ray::ps;
using Words = ps::Table<std::string, float>;
using Users = ps::Table<int64_t, double>;

// Adds one to each element of the rows of these keys, `times` times.
void AddOnes(const Users& users, const std::vector<int64_t>& keys, int times) {
  const std::vector<double> gradients(keys.size() * users.row_size(), -1);
  for (int i = 0; i < times; ++i) users.Push(keys, gradients);
}
RAY_REMOTE(AddOnes);

class TableTest : public TwoModesTest {};
INSTANTIATE_TEST_SUITE_P(Modes, TableTest, testing::Values(true, false), NameOfMode);

std::vector<float> ValuesOf(std::span<const float> row) { return {row.begin(), row.end()}; }

TEST_P(TableTest, RowsComeInTheOrderOfTheirKeys) {
  const auto words = Words::Create(2, kThreeShards);
  const std::vector<std::string> keys = {"pear", "apple", "fig", "apple", ""};
  words.Push(keys, std::vector<float>{-1, -2, -3, -4, -5, -6, -30, -40, -7, -8});
  const auto rows = words.Pull({"fig", "apple", "", "pear", "fig", "plum"});
  ASSERT_EQ(rows.size(), 6U);
  EXPECT_EQ(ValuesOf(rows[0]), (std::vector<float>{5, 6}));
  EXPECT_EQ(ValuesOf(rows[1]), (std::vector<float>{33, 44})) << "gradients of a repeated key add up";
  EXPECT_EQ(ValuesOf(rows[2]), (std::vector<float>{7, 8}));
  EXPECT_EQ(ValuesOf(rows[3]), (std::vector<float>{1, 2}));
  EXPECT_EQ(rows[4].data(), rows[0].data()) << "one row in memory for a repeated key";
  EXPECT_EQ(ValuesOf(rows[5]), (std::vector<float>{0, 0}));
  EXPECT_EQ(words.Size(), 5U);
  EXPECT_EQ(words.Pull({}).size(), 0U);
}

// Against a map in this process, under random batches with repeated keys of both signs.
TEST_P(TableTest, RandomBatchesLeaveWhatAMapHas) {
  const auto users = Users::Create(3, {.shards = 4, .optimizer = ps::Sgd{.rate = 1}});
  std::map<int64_t, std::vector<double>> expected;
  std::mt19937_64 random(5);
  for (int batch = 0; batch < 30; ++batch) {
    std::vector<int64_t> keys;
    std::vector<double> gradients;
    for (size_t i = 0; i < random() % 300; ++i) {
      const int64_t key = static_cast<int64_t>(random() % 400) - 200;
      keys.push_back(key);
      auto& row = expected.try_emplace(key, 3).first->second;
      for (double& value : row) {
        gradients.push_back(static_cast<double>(random() % 9) - 4);
        value -= gradients.back();
      }
    }
    users.Push(keys, gradients);
  }
  std::vector<int64_t> keys;
  for (const auto& [key, row] : expected) keys.push_back(key);
  const auto rows = users.Pull(keys);
  for (size_t i = 0; i < keys.size(); ++i)
    EXPECT_TRUE(std::equal(rows[i].begin(), rows[i].end(), expected[keys[i]].begin())) << "key " << keys[i];
  std::map<int64_t, std::vector<double>> visited;
  users.ForEach([&](const int64_t& key, std::span<const double> row) {
    EXPECT_TRUE(visited.emplace(key, std::vector<double>(row.begin(), row.end())).second);
  });
  EXPECT_EQ(visited, expected);
}

TEST_P(TableTest, GradientsOfSeveralWorkersAddUp) {
  const auto users = Users::Create(2, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}});
  std::vector<ray::ObjectRef<void>> working;
  for (int64_t rank = 0; rank < 3; ++rank)
    working.push_back(ray::Task(AddOnes).Remote(users, std::vector<int64_t>{rank, rank + 1, 100}, 20));
  ray::Get(working, 60'000);
  const auto rows = users.Pull({0, 1, 2, 3, 100});
  const std::vector<double> expected = {20, 40, 40, 20, 60};
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(rows[i][1], expected[i]) << i;
}

TEST_P(TableTest, ARowBeginsTheSameInEveryShardAndOrder) {
  const auto normal = ps::Initializer::Normal(1, 2, 7);
  const auto one = Users::Create(50, {.shards = 1}, normal);
  const auto three = Users::Create(50, {.shards = 3}, normal);
  std::vector<int64_t> keys(200);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int64_t>(i * i);
  const auto values = one.Pull(keys).Copy();
  std::reverse(keys.begin(), keys.end());
  const auto rows = three.Pull(keys);
  for (size_t i = 0; i < keys.size(); ++i)
    EXPECT_TRUE(std::equal(rows[i].begin(), rows[i].end(), values.end() - static_cast<ptrdiff_t>((i + 1) * 50)));
  double mean = 0, square = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) square += (value - mean) * (value - mean) / static_cast<double>(values.size());
  EXPECT_NEAR(mean, 1, 0.1);
  EXPECT_NEAR(std::sqrt(square), 2, 0.1);
  const auto uniform = Users::Create(50, {}, ps::Initializer::Uniform(-3, -1)).Pull(keys).Copy();
  EXPECT_GE(*std::min_element(uniform.begin(), uniform.end()), -3);
  EXPECT_LT(*std::max_element(uniform.begin(), uniform.end()), -1);
  EXPECT_EQ(Users::Create(1, {}, ps::Initializer::Constant(4)).Pull({1})[0][0], 4);
}

// Adam's corrections depend on the row's own steps, and not on those of other rows.
TEST_P(TableTest, EachRowHasTheOptimisersStateOfItsOwnSteps) {
  const auto words = Words::Create(1, {.shards = 2, .optimizer = ps::Adam{.rate = 0.5}});
  for (int i = 0; i < 10; ++i) words.Push({"often"}, std::vector<float>{3});
  words.Push({"once"}, std::vector<float>{3});
  EXPECT_NEAR(words.Pull({"once"})[0][0], -0.5, 1e-5);
  EXPECT_NEAR(words.Pull({"often"})[0][0], -5, 1e-4);
}

TEST_P(TableTest, ErasedRowsBeginAgain) {
  const auto users = Users::Create(1, {.shards = 3, .optimizer = ps::Sgd{.rate = 1, .momentum = 0.5}});
  AddOnes(users, {1, 2, 3}, 2);
  EXPECT_EQ(users.Erase({2, 3, 3, 4}), 2U);
  EXPECT_EQ(users.Size(), 1U);
  AddOnes(users, {2}, 1);
  EXPECT_EQ(users.Pull({2})[0][0], 1) << "the momentum of the erased row was kept";
  EXPECT_EQ(users.Pull({1})[0][0], 2.5);
}

TEST_P(TableTest, RareKeysGetNoRow) {
  const auto users = Users::Create(1, kThreeShards, ps::Initializer::Constant(9), {.min_count = 3});
  AddOnes(users, {1}, 2);
  EXPECT_EQ(users.Size(), 0U);
  AddOnes(users, {1}, 1);
  EXPECT_EQ(users.Size(), 1U);
  EXPECT_EQ(users.Pull({1})[0][0], 10);
  EXPECT_EQ(users.Pull({2})[0][0], 9);
  EXPECT_EQ(users.Size(), 1U);
}

TEST_P(TableTest, RowsThatNobodyNamesExpire) {
  const auto users = Users::Create(1, {.optimizer = ps::Sgd{.rate = 1}}, ps::Initializer::Zero(), {.expire_after = 5});
  AddOnes(users, {1, 2}, 1);
  AddOnes(users, {1}, 3);
  EXPECT_EQ(users.Size(), 2U);
  AddOnes(users, {1}, 6);
  EXPECT_EQ(users.Size(), 1U);
  EXPECT_EQ(users.Pull({1})[0][0], 10);
}

TEST_P(TableTest, SavedRowsAreLoaded) {
  const raylet::test::RunFolder folder;
  const ps::Options options{.shards = 2, .optimizer = ps::Adagrad{.rate = 1}};
  const auto one = Words::Create(4, options);
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back(std::string(static_cast<size_t>(i % 13), 'k') + std::to_string(i));
  one.Push(keys, std::vector<float>(400, 2));
  one.Save(folder.File("words"));
  const auto two = Words::Create(4, options);
  two.Push({"gone"}, std::vector<float>(4, 1));
  two.Load(folder.File("words"));
  EXPECT_EQ(two.Size(), 100U);
  one.Push(keys, std::vector<float>(400, 2));
  two.Push(keys, std::vector<float>(400, 2));
  EXPECT_EQ(two.Pull(keys).Copy(), one.Pull(keys).Copy());

  const auto other = Words::Create(3, options);
  const std::string of_another = MessageOf([&] { other.Load(folder.File("words")); });
  EXPECT_NE(
      of_another.find(" rows by string of 4 floats of shard 0 of 2 with optimizer 1 and 1 arrays of its state, and"),
      std::string::npos)
      << of_another;
  const std::string file = ps::internal::CheckpointPath(folder.File("words"), 1, 2);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  const std::string truncated = MessageOf([&] { two.Load(folder.File("words")); });
  EXPECT_NE(truncated.find("it is truncated or damaged"), std::string::npos) << truncated;
  EXPECT_EQ(two.Pull(keys).Copy(), one.Pull(keys).Copy()) << "a file that was refused changed the rows";
}

TEST_P(TableTest, ErrorsNameTheValueAndWhatWasExpected) {
  const auto expect = [](const std::string& message, const std::function<void()>& f) {
    EXPECT_EQ(MessageOf(f), message);
  };
  expect("rows of 0 elements were asked for: a row has 1 element or more", [] { Words::Create(0); });
  expect("a table in 0 shards was asked for: a server has 1 shard or more", [] { Words::Create(1, {.shards = 0}); });
  expect("the policy Synchronous{workers = 2} was asked for, and a table has Async{} alone",
         [] { Words::Create(1, {.policy = ps::Synchronous{2}}); });
  expect("this Table is of no server: Create makes one", [] { Words().Pull({"a"}); });
  const auto words = Words::Create(2, {.refuse_nan = true});
  expect("the list of gradients has 3 elements, and 4 were expected", [&] {
    words.Push({"a", "b"}, std::vector<float>(3));
  });
  expect("element 1 of the gradient at place 1 is nan: with refuse_nan a gradient has finite numbers alone", [&] {
    words.Push({"a", "b"}, std::vector<float>{0, 0, 0, std::nanf("")});
  });
}

}  // namespace table_test
