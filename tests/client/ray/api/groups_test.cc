// Placement groups in local_mode, which reserves nothing: every call works, and a group is created at once.
#include <gtest/gtest.h>
#include <ray/api.h>

namespace groups_test {

inline int DoubledInGroup(int x) { return 2 * x; }
class Holder {
 public:
  static Holder* Create(int value) { return new Holder(value); }
  explicit Holder(int value) : value_(value) {}
  int Value() const { return value_; }

 private:
  int value_;
};
RAY_REMOTE(DoubledInGroup, Holder::Create, &Holder::Value);

namespace {

using ray::PlacementGroupState;
using ray::PlacementStrategy;
using ray::internal::RayException;

class LocalGroupsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ray::RayConfig config;
    config.local_mode = true;
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }
  static ray::PlacementGroup Create(const std::string& name) {
    return ray::CreatePlacementGroup({name, {{{"CPU", 1}}, {{"CPU", 1}, {"gpu", 2}}}, PlacementStrategy::SPREAD});
  }
};

TEST_F(LocalGroupsTest, AGroupIsCreatedAtOnceFoundAndRemoved) {
  const auto group = Create("g");
  EXPECT_TRUE(group.Wait(0));
  EXPECT_THROW(Create("g"), RayException);
  EXPECT_EQ(ray::GetAllPlacementGroups().size(), 1u);
  EXPECT_EQ(ray::GetPlacementGroup("g").GetID(), group.GetID());
  const auto found = ray::GetPlacementGroupById(group.GetID());
  EXPECT_EQ(found.GetState(), PlacementGroupState::CREATED);
  EXPECT_EQ(found.GetBundles(), group.GetBundles());
  EXPECT_EQ(found.GetStrategy(), PlacementStrategy::SPREAD);
  ray::RemovePlacementGroup(group.GetID());
  ray::RemovePlacementGroup(group.GetID());
  EXPECT_EQ(ray::GetPlacementGroupById(group.GetID()).GetState(), PlacementGroupState::REMOVED);
  EXPECT_TRUE(ray::GetPlacementGroup("g").Empty());
  EXPECT_THROW(group.Wait(1), RayException);
  EXPECT_TRUE(Create("g").Wait(1));
}

TEST_F(LocalGroupsTest, TasksAndActorsRunInAGroup) {
  const auto group = Create("");
  EXPECT_EQ(*ray::Task(DoubledInGroup).SetPlacementGroup(group, 0).Remote(4).Get(), 8);
  auto holder = ray::Actor(Holder::Create).SetPlacementGroup(group, 1).Remote(5);
  EXPECT_EQ(*holder.Task(&Holder::Value).Remote().Get(), 5);
  EXPECT_EQ(*ray::Task(DoubledInGroup).SetPlacementGroup(ray::PlacementGroup(), 0).Remote(4).Get(), 8);
  EXPECT_THROW(ray::Task(DoubledInGroup).SetPlacementGroup(group, 2), RayException);
}

}  // namespace
}  // namespace groups_test
