#include "raylet/status/status_screen.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

TEST(StatusScreen, ShowsEveryPartOfABusyRaylet) {
  const auto screen = StatusScreen(R"({
    "build": "0.1.0", "pid": 4242, "serves": "/run/raylet", "node": "aabbccddee", "address": "10.0.0.1:7000",
    "store_socket": "/run/store", "logs_folder": "/run/logs",
    "resources": {"CPU": {"total": 4.0, "free": 0.5}},
    "workers": [{"worker": 1, "job": 1, "pid": 77, "state": "busy", "blocked": true, "task": "Gradient\u001b[2J"}],
    "workers_max": 256,
    "queues": [{"job": 1, "what": "tasks", "count": 3, "resources": "gpu 1", "first": "Train",
                "why": "this node will never have what they ask for: gpu"}],
    "tasks": 4, "tasks_waiting_for_objects": 1, "objects_waited_for": 2,
    "actors": [{"actor": "0011223344", "name": "server", "function": "Server::Create", "job": 1, "pid": 78,
                "state": "Alive", "leaving": false, "detached": true, "restarts": 2, "channels": 5}],
    "actors_living": 1, "actors_dead": 0,
    "placement_groups": [{"group": "99887766554433", "name": "servers", "job": 1, "strategy": "Spread",
                          "state": "Created", "reason": "", "bundles": [{"resources": "CPU 1", "machine": "here"},
                          {"resources": "CPU 1", "machine": "10.0.0.2:7000"}]},
                         {"group": "aa887766554433", "name": "", "job": 1, "strategy": "StrictPack", "state": "Pending",
                          "reason": "no machines have what its bundles ask for: gpu 9", "bundles": []}],
    "bundles_of_others": [{"group": "bb88776655", "bundle": 3, "resources": "gpu 2", "home": "10.0.0.3:7000"}],
    "jobs": [{"job": 1, "driver_pid": 70, "executable": "/bin/train", "namespace": "job-1", "workers": 2},
             {"job": 2, "driver_pid": 0, "executable": "/bin/serve", "namespace": "n", "workers": 0,
              "from": "10.0.0.4:7000", "job_there": 9}],
    "peers": [{"node": "bb00", "address": "10.0.0.2:7000", "state": "up", "connected": true,
               "load": {"resources": {"CPU": {"total": 8.0, "free": 7.0, "queued": 0.0},
                                      "gpu": {"total": 4.0, "free": 0.0, "queued": 3.0}}, "queued_tasks": 3, "running_tasks": 0}},
              {"node": "cc00", "address": "10.0.0.3:7000", "state": "dead", "connected": false,
               "why": "its machine refuses connections"}],
    "control": null,
    "transfers": {"objects_wanted": 1, "pulls": 1, "pulled_bytes": 1048576, "objects_received": 2,
                  "bytes_received": 2048, "objects_sent": 0, "bytes_sent": 0, "kept_for_others": 3,
                  "remote_copies": 4}})");
  ASSERT_TRUE(screen.has_value()) << screen.error().message;
  for (const char* words : {"raylet 0.1.0 pid 4242 at /run/raylet",
                            "other raylets reach it at 10.0.0.1:7000",
                            "CPU",
                            "0.5",
                            "1 of at most 256: 0 starting, 0 idle, 1 busy, 0 stopping, 1 blocked in Get or Wait",
                            "busy, blocked",
                            "Gradient?[2J",
                            "3 tasks",
                            "gpu 1",
                            "this node will never have what they ask for: gpu",
                            "1 task waiting for 2 objects",
                            "server",
                            "Alive, detached",
                            "2 placement groups",
                            "1 10.0.0.2:7000, 1 here",
                            "no machines have what its bundles ask for: gpu 9",
                            "1 bundle\n",
                            "10.0.0.3:7000",
                            "/bin/train",
                            "10.0.0.4:7000",
                            "1 up, 0 silent, 1 dead",
                            "CPU 7 of 8 free, gpu 0 of 4 free and 3 asked for, 3 queued",
                            "its machine refuses connections",
                            "1 object wanted, 1 pull under way, 1.0 MiB",
                            "2 objects, 2.0 KiB",
                            "3 objects for other machines"})
    EXPECT_NE(screen->find(words), std::string::npos) << words << " is not in\n" << *screen;
}

// As logs, errors and objstat have them: the first digits of an actor's id are those of its creator.
TEST(StatusScreen, ShowsIdsWhole) {
  const std::string first = "0800000012345678010000000000000040414200",
                    second = "0800000012345678020000000000000050515200";
  const auto screen = StatusScreen(R"({"workers": [{"worker": 1, "actor": ")" + first + R"("}],
      "actors": [{"actor": ")" + first +
                                   R"("}, {"actor": ")" + second + R"("}],
      "actors_of_others": [{"actor": ")" +
                                   second + R"("}], "placement_groups": [{"group": ")" + first + R"("}],
      "bundles_of_others": [{"group": ")" +
                                   second + R"("}], "peers": [{"node": ")" + first + R"("}],
      "control": {}, "nodes": [{"node": ")" +
                                   second + R"("}]})");
  ASSERT_TRUE(screen.has_value());
  const auto times = [&](const std::string& id) {
    size_t found = 0;
    for (size_t at = screen->find(id); at != std::string::npos; at = screen->find(id, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(times(first), 4U) << *screen;
  EXPECT_EQ(times(second), 4U) << *screen;
}

TEST(StatusScreen, CountsAndNounsAgree) {
  const auto screen = StatusScreen(R"({"tasks": 1, "tasks_waiting_for_objects": 1, "objects_waited_for": 1,
      "processes_without_room": 1, "tasks_max": 1,
      "queues": [{"what": "tasks", "count": 1}, {"what": "actors", "count": 1}, {"what": "actors", "count": 2}]})");
  ASSERT_TRUE(screen.has_value());
  for (const char* words : {"1 task waiting for 1 object; 1 task in all; 1 submitter without room", "may have 1 task (",
                            " 1 task ", " 1 actor ", " 2 actors "})
    EXPECT_NE(screen->find(words), std::string::npos) << words << " is not in\n" << *screen;
}

TEST(StatusScreen, ShowsMissingPartsAsEmptyAndRefusesNonObjects) {
  const auto empty = StatusScreen("{}");
  ASSERT_TRUE(empty.has_value());
  EXPECT_NE(empty->find("0 of at most 0"), std::string::npos) << *empty;
  EXPECT_TRUE(StatusScreen(R"({"workers": 3, "peers": "x", "resources": []})").has_value());
  EXPECT_EQ(StatusScreen("[1]").error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(StatusScreen("{").error().code, ErrorCode::kProtocolError);
}

TEST(StatusScreen, LongTablesAreCutAndSaySo) {
  std::string workers;
  for (int i = 1; i <= 25; ++i) workers += std::string(i > 1 ? "," : "") + R"({"worker": )" + std::to_string(i) + "}";
  const auto screen = StatusScreen(R"({"workers": [)" + workers + "]}");
  ASSERT_TRUE(screen.has_value());
  EXPECT_NE(screen->find("… and 5 more; --json lists them"), std::string::npos) << *screen;
}

}  // namespace
}  // namespace raylet
