import asyncio

import msgspec

from serving.events import EVENTS_KEPT, MESSAGES_KEPT, Event, Events


def numbered(count: int) -> Events:
    events = Events()
    for number in range(count):
        events.say(Event(float(number), "test", str(number)))
    return events


def test_only_the_newest_are_kept() -> None:
    events = numbered(10 * EVENTS_KEPT)
    assert (len(events.events), len(events.messages)) == (EVENTS_KEPT, MESSAGES_KEPT)
    assert events.events[-1].text == str(10 * EVENTS_KEPT - 1)


def test_a_watcher_goes_on_after_the_last_message_it_saw() -> None:
    assert [message.id for message in numbered(5).since(3)] == [4, 5]
    assert [message.id for message in numbered(5).since(0)] == [1, 2, 3, 4, 5]


def test_a_number_of_another_life_of_the_process_brings_all_that_is_kept() -> None:
    assert [message.id for message in numbered(3).since(1000)] == [1, 2, 3]


def test_a_watcher_is_told_what_is_said_after_it_came_and_two_watchers_are_told_the_same() -> None:
    async def watched() -> list[list[str]]:
        events = numbered(3)

        async def two() -> list[str]:
            texts = []
            async for message in events.follow():
                texts.append(msgspec.json.decode(message.body, type=Event).text)
                if len(texts) == 2:
                    break
            return texts

        watchers = [asyncio.create_task(two()) for _ in range(2)]
        await asyncio.sleep(0)
        for text in ("one", "two"):
            events.say(Event(0.0, "test", text))
            await asyncio.sleep(0)
        return await asyncio.gather(*watchers)

    assert asyncio.run(watched()) == [["one", "two"], ["one", "two"]]


def test_a_watcher_that_is_too_slow_loses_the_oldest_and_holds_nobody_up() -> None:
    async def watched() -> list[int]:
        events = Events()
        follower = events.follow(0)
        for number in range(MESSAGES_KEPT + 10):
            events.say(Event(float(number), "test", ""))
        return [(await anext(follower)).id for _ in range(2)]

    assert asyncio.run(watched()) == [11, 12]
