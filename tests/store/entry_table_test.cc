#include "store/entry_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace raylet::store {
namespace {

TEST(EntryTable, ListsAgreeWithVectorsAndDoNotDisturbOneAnother) {
  constexpr uint32_t kEntries = 5000;  // more than one piece
  EntryTable table;
  table.GrowTo(kEntries);
  StateList states;
  OwnerList owners;
  std::vector<uint32_t> in_states, in_owners;
  std::mt19937 random(1);
  const auto check = [&](const auto& list, const std::vector<uint32_t>& wanted) {
    ASSERT_EQ(list.size(), wanted.size());
    ASSERT_EQ(list.empty(), wanted.empty());
    uint32_t entry = list.first();
    for (const uint32_t each : wanted) {
      ASSERT_EQ(entry, each);
      entry = list.After(table, entry);
    }
    ASSERT_EQ(entry, kNoEntry);
  };
  const auto flip = [&](auto& list, std::vector<uint32_t>& members, uint32_t entry) {
    if (const auto it = std::find(members.begin(), members.end(), entry); it != members.end()) {
      list.Remove(table, entry);
      members.erase(it);
    } else {
      list.Append(table, entry);
      members.push_back(entry);
    }
  };
  for (int step = 0; step < 2000; ++step) {
    const uint32_t entry = random() % 40 * 124;
    if (random() % 2 == 0)
      flip(states, in_states, entry);
    else
      flip(owners, in_owners, entry);
    ASSERT_NO_FATAL_FAILURE(check(states, in_states));
    ASSERT_NO_FATAL_FAILURE(check(owners, in_owners));
  }
}

TEST(EntryTable, NotesStayWhereTheyAreWhenItGrows) {
  EntryTable table;
  table.GrowTo(10);
  EntryNote* const note = &table[9];
  note->by_owner.before = 7;
  table.GrowTo(100'000);
  EXPECT_EQ(&table[9], note);
  EXPECT_EQ(table[9].by_owner.before, 7u);
  EXPECT_EQ(table[99'999].by_owner.before, kNoEntry);
}

}  // namespace
}  // namespace raylet::store
