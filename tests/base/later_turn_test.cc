#include "base/later_turn.h"

#include <optional>

#include "testing.h"

namespace raylet {
namespace {

TEST(LaterTurn, RunsOnceForAllThatAskAndAgainWhereItAsksItself) {
  Loop loop;
  int ran = 0;
  std::optional<LaterTurn> work;
  work.emplace(loop, [&] {
    if (++ran < 3) work->Ask();
  });
  work->Ask();
  work->Ask();
  EXPECT_EQ(ran, 0);
  for (int i = 0; i < 5; ++i) loop.Post([] {});
  loop.Post([&] { loop.Post([&] { loop.Post([&] { loop.Stop(); }); }); });
  loop.Run();
  EXPECT_EQ(ran, 3);
}

TEST(LaterTurn, DoesNotRunAfterItHasGone) {
  Loop loop;
  bool ran = false;
  std::optional<LaterTurn> work;
  work.emplace(loop, [&] { ran = true; });
  work->Ask();
  work.reset();
  loop.Post([&] { loop.Stop(); });
  loop.Run();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace raylet
