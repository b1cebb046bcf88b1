// Flags, environment and words; RAYLOG; what exceptions say.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include <ray/api.h>

#include "client/ray/api_config.h"

#define DEBUG 1  // as programs do
#define ERROR 2

namespace config_test {

using ray::internal::RayException;
using raylet::client::ResolveConfig;
using raylet::client::SplitWords;

TEST(Config, FlagsWinOverTheConfigAndTheConfigOverTheEnvironment) {
  setenv("RAY_ADDRESS", "/from/environment", 1);
  EXPECT_EQ(ResolveConfig({}, 0, nullptr).address, "/from/environment");
  ray::RayConfig config;
  config.address = "/from/config";
  EXPECT_EQ(ResolveConfig(config, 0, nullptr).address, "/from/config");
  const char* arguments[] = {"program", "--ray_address=/from/flag", "--other"};
  EXPECT_EQ(ResolveConfig(config, 3, arguments).address, "/from/flag");
  unsetenv("RAY_ADDRESS");
}

TEST(Config, EveryFlagIsRead) {
  const char* arguments[] = {"program",
                             "--ray_head_args",
                             "--num-cpus 2 --resources {\"disk\": 1}",
                             "--ray_code_search_path=a.so:dir",
                             "--ray_default_actor_lifetime=DETACHED",
                             "--ray_namespace=n",
                             "--ray_logs_dir=/l",
                             "--ray_runtime_env={\"working_dir\": \"/w\"}",
                             "--ray_local_mode=true"};
  const ray::RayConfig config = ResolveConfig({}, 9, arguments);
  EXPECT_EQ(config.head_args, (std::vector<std::string>{"--num-cpus", "2", "--resources", "{\"disk\": 1}"}));
  EXPECT_EQ(config.code_search_path, (std::vector<std::string>{"a.so", "dir"}));
  EXPECT_EQ(config.default_actor_lifetime, ray::ActorLifetime::DETACHED);
  EXPECT_EQ(config.ray_namespace, "n");
  EXPECT_EQ(config.logs_dir, "/l");
  EXPECT_EQ(config.runtime_env->Get<std::string>("working_dir"), "/w");
  EXPECT_TRUE(config.local_mode);
}

TEST(Config, FlagsThatMakeNoSenseAreRefused) {
  const char* lifetime[] = {"program", "--ray_default_actor_lifetime=some"};
  EXPECT_THROW(ResolveConfig({}, 2, lifetime), RayException);
  const char* alone[] = {"program", "--ray_address"};
  EXPECT_THROW(ResolveConfig({}, 2, alone), RayException);
}

TEST(Config, WordsKeepQuotesAndBracesTogether) {
  EXPECT_EQ(SplitWords("  a 'b c' \"d e\" {\"f g\": {\"h\": 1}} "),
            (std::vector<std::string>{"a", "b c", "d e", "{\"f g\": {\"h\": 1}}"}));
  EXPECT_TRUE(SplitWords("").empty());
}

TEST(Config, AMissingLibraryIsNamed) {
  ray::RayConfig config;
  config.local_mode = true;
  config.code_search_path = {"/nowhere/library.so"};
  EXPECT_THROW(ray::Init(config), RayException);
  EXPECT_FALSE(ray::IsInitialized());
}

TEST(Config, ActorsAreDetachedWhereTheConfigSaysSo) {
  ray::RayConfig config;
  config.local_mode = true;
  config.default_actor_lifetime = ray::ActorLifetime::DETACHED;
  ray::Init(config);
  EXPECT_TRUE(ray::internal::ActorsAreDetachedByDefault());
  ray::Shutdown();
  config.default_actor_lifetime = ray::ActorLifetime::NON_DETACHED;
  ray::Init(config);
  EXPECT_FALSE(ray::internal::ActorsAreDetachedByDefault());
  ray::Shutdown();
}

TEST(Log, LinesGoToStandardErrorWithLevelAndPlace) {
  testing::internal::CaptureStderr();
  RAYLOG(INFO) << "seven is " << 7;
  RAYLOG(ERROR) << "bad";
  RAYLOG(DEBUG) << "not shown";
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find(" INFO "), std::string::npos);
  EXPECT_NE(text.find("config_test.cc:"), std::string::npos);
  EXPECT_NE(text.find("seven is 7\n"), std::string::npos);
  EXPECT_NE(text.find(" ERROR "), std::string::npos);
  EXPECT_EQ(text.find("not shown"), std::string::npos);
}

TEST(Log, FatalEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(RAYLOG(FATAL) << "the end", testing::KilledBySignal(SIGABRT), "the end");
}

TEST(Exceptions, SayProcessSignalRiskAndHint) {
  const ray::internal::RayWorkerException e(
      "the worker died", {.cause = "", .pid = 42, .signal = SIGKILL, .may_have_run = true, .hint = "look at its log"});
  EXPECT_STREQ(e.what(), "the worker died [pid 42] [signal 9 SIGKILL] [may have run] Hint: look at its log");
  EXPECT_EQ(e.cause(), "the worker died");
  EXPECT_EQ(e.signal(), SIGKILL);
  EXPECT_FALSE(e.retry_safe());
}

}  // namespace config_test
