// The rows of one shard of a table: how they begin, change, go and are copied.
#include "client/parameter_server/table_rows.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/client/parameter_server/in_process_fixture.h"
#include "tests/client/parameter_server/message_of.h"

namespace table_rows_test {

using parameter_server_test::MessageOf;
using ray::Array;
namespace ps = ray::ps;
using ps::internal::CheckpointOf;
using ps::internal::RowsContent;
using ps::internal::TableSetup;
using Numbers = ps::internal::TableRows<uint64_t, float>;
using Words = ps::internal::TableRows<std::string, double>;

TableSetup SetupWith(const ps::Optimizer& optimizer = ps::Sgd{.rate = 1}) {
  TableSetup setup;
  setup.row_size = 2;
  setup.optimizer.optimizer = {optimizer};
  return setup;
}

class TableRowsTest : public parameter_server_test::InProcess {
 protected:
  static Array<uint64_t> Keys(const std::vector<uint64_t>& keys) { return Array<uint64_t>::CopyOf(keys); }
  static std::vector<float> Pulled(Numbers& rows, const std::vector<uint64_t>& keys) {
    const auto values = rows.Pull(Keys(keys));
    return {values.begin(), values.end()};
  }
  static void Push(Numbers& rows, const std::vector<uint64_t>& keys, float value) {
    rows.Push(Keys(keys), Array<float>::CopyOf(std::vector<float>(keys.size() * 2, -value)), 1);
  }
};

TEST_F(TableRowsTest, ARowBeginsWhenItIsNamed) {
  TableSetup setup = SetupWith();
  setup.first = 3;
  Numbers rows(setup);
  EXPECT_EQ(Pulled(rows, {5, 9}), (std::vector<float>{3, 3, 3, 3}));
  Push(rows, {9, 1}, 2);
  EXPECT_EQ(Pulled(rows, {1, 5, 9}), (std::vector<float>{5, 5, 3, 3, 5, 5}));
  EXPECT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows.pushes(), 1U);
}

TEST_F(TableRowsTest, RandomValuesDependOnTheSeedAndTheKeyAlone) {
  TableSetup setup = SetupWith();
  setup.initializer = static_cast<int>(ps::Initializer::Kind::kUniform);
  setup.first = -1;
  setup.second = 1;
  Numbers rows(setup), others(setup);
  others.Pull(Keys({1, 2, 3}));
  EXPECT_EQ(Pulled(rows, {3}), Pulled(others, {3}));
  setup.seed = 1;
  Numbers seeded(setup);
  EXPECT_NE(Pulled(rows, {3}), Pulled(seeded, {3}));
}

TEST_F(TableRowsTest, AnErasedRowBeginsAgainWithoutItsOptimisersState) {
  Numbers rows(SetupWith(ps::Sgd{.rate = 1, .momentum = 0.5}));
  Push(rows, {1, 2}, 4);
  EXPECT_EQ(rows.Erase(Keys({1, 7})), 1U);
  EXPECT_EQ(rows.size(), 1U);
  Push(rows, {1, 2}, 4);
  EXPECT_EQ(Pulled(rows, {1, 2}), (std::vector<float>{4, 4, 10, 10}));
}

TEST_F(TableRowsTest, AFilterLetsAKeyInOnceItWasNamedOften) {
  TableSetup setup = SetupWith();
  setup.min_count = 3;
  Numbers rows(setup);
  EXPECT_TRUE(rows.PullsCount());
  Push(rows, {1}, 5);
  EXPECT_EQ(Pulled(rows, {1}), (std::vector<float>{0, 0}));
  EXPECT_EQ(rows.size(), 0U);
  Push(rows, {1}, 5);
  EXPECT_EQ(Pulled(rows, {1}), (std::vector<float>{5, 5}));
}

TEST_F(TableRowsTest, ARowThatPushesDoNotNameExpires) {
  TableSetup setup = SetupWith();
  setup.expire_after = 4;
  Numbers rows(setup);
  Push(rows, {1}, 1);
  for (int i = 0; i < 7; ++i) Push(rows, {2}, 1);
  EXPECT_EQ(rows.size(), 1U);
  EXPECT_EQ(Pulled(rows, {2}), (std::vector<float>{7, 7}));
}

// More rows than a block has, some of them erased in between.
TEST_F(TableRowsTest, PagesHaveEachRowOnce) {
  Numbers rows(SetupWith());
  std::vector<uint64_t> keys(20'000);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = i;
  rows.Pull(Keys(keys));
  std::vector<uint64_t> some;
  for (uint64_t key = 0; key < keys.size(); key += 3) some.push_back(key);
  rows.Erase(Keys(some));
  std::set<uint64_t> seen;
  uint64_t from = 0;
  do {
    const auto page = rows.Page(from, 1000);
    EXPECT_EQ(page.values.size(), 2 * page.keys.size());
    EXPECT_LE(page.keys.size(), 1000U);
    for (const uint64_t key : page.keys) EXPECT_TRUE(seen.insert(key).second) << key;
    from = page.next;
  } while (from != 0);
  EXPECT_EQ(seen.size(), rows.size());
  EXPECT_EQ(seen.size(), keys.size() - some.size());
}

TEST_F(TableRowsTest, ACopyGoesOnAsTheRowsDo) {
  TableSetup setup = SetupWith(ps::Sgd{.rate = 1, .momentum = 0.5});
  setup.min_count = 2;
  Numbers rows(setup), copy(setup);
  for (int i = 0; i < 2; ++i) Push(rows, {1, 2}, 4);
  Push(rows, {3}, 4);  // counted once
  const auto content = rows.Copy();
  EXPECT_EQ(content->of.size, 2U);
  EXPECT_EQ(content->of.keys, CheckpointOf::kIntegerKeys);
  copy.Take(*content, "the copy");
  for (Numbers* one : {&rows, &copy}) Push(*one, {1, 3}, 4);
  EXPECT_EQ(Pulled(copy, {1, 2, 3}), Pulled(rows, {1, 2, 3}));
  EXPECT_EQ(copy.pushes(), rows.pushes());
  EXPECT_EQ(copy.size(), 3U);
}

TEST_F(TableRowsTest, ContentWithFewerKeysThanRowsChangesNothing) {
  Words rows(SetupWith());
  rows.Push({"pear", "fig"}, Array<double>::CopyOf(std::vector<double>(4, -1)), 1);
  RowsContent<double> content = *rows.Copy();
  EXPECT_EQ(content.of.keys, CheckpointOf::kStringKeys);
  content.keys.pop_back();
  EXPECT_EQ(MessageOf([&] { rows.Take(content, "the file x"); }), "the file x is damaged: it has fewer keys than rows");
  EXPECT_EQ(rows.size(), 2U);
  content = *rows.Copy();
  content.values.pop_back();
  EXPECT_NE(MessageOf([&] { rows.Take(content, "the file x"); }), "nothing was thrown");
  EXPECT_EQ(rows.size(), 2U);
}

TEST_F(TableRowsTest, GradientsOfAnotherSizeAreRefused) {
  Numbers rows(SetupWith());
  EXPECT_NE(MessageOf([&] { rows.Push(Keys({1}), Array<float>::CopyOf(std::vector<float>(3)), 1); }),
            "nothing was thrown");
  EXPECT_EQ(rows.size(), 0U);
  EXPECT_EQ(rows.pushes(), 0U);
}

}  // namespace table_rows_test
