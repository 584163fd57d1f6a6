"""Each sentence of docs/api.md, in its order, and the tests that hold it. A new sentence wants a test before it wants a line
here; one that is a report of what somebody tried once is marked as that."""

import ast
import re
from functools import cache

import pytest

from omni.core.errors import ContextOverflow
from omni.core.settings import Settings
from omni.engine import completion_limit, decodable, images
from omni.engine.context import LEAST_ANSWER
from omni.server import bounds, fair_queue, protocol, streams
from omni.server.openai import responses_items, responses_store
from tests.docs.examples import DOCS, ROOT

PAGE = (DOCS / "api.md").read_text("utf-8")
REPORT = ("a report",)  # of what was tried by hand or measured once: no test repeats it
# How a sentence begins, and its tests: file and name, without what all files and names of tests begin with.
LINES: list[tuple[str, tuple[str, ...]]] = [
    ('`omni serve` answers other programs', ('server/serving it_serves_and_knows_who_asks', 'docs/api_examples a_program_prints_what_it_should')),
    ('It listens at `http://127.0.0.1:11434`', ('docs/api_lines the_figures_are_those_of_the_code',)),
    ('If that port is taken', ('server/serving a_taken_port_is_passed_over_and_named', 'airlock/listen_port a_taken_port_is_named')),
    ('`omni web` serves the same API', ('server/web_api who_looks_for_ollama_finds_it_at_the_same_place', 'server/serving the_web_address_lets_a_browser_in_once')),
    ("The web interface's tests run in Chromium", ('server/web_browser a_question_is_answered_word_by_word',)),
    ('It was tried by hand in Firefox', REPORT),
    ('Programs that read the usual variables', ('docs/api_examples a_program_prints_what_it_should',)),
    ('Any key will do that does not begin', ('server/guard dummies_that_clients_send_are_no_keys', 'server/guard a_wrong_key_is_refused_and_said_to_be_wrong')),
    ('One program takes the key as leave', ('docs/api_lines who_calls_home_is_said_as_on_the_page_of_clients',)),
    ('| Path | What it does', ('docs/api_examples every_path_is_explained', 'server/openapi every_route_is_in_it')),
    ('Fields that are not known are ignored', ('server/accepted null_is_a_field_that_is_left_out', 'server/accepted what_others_take_is_taken')),
    ('Values that cannot be right', ('server/openai_refusals what_is_wrong_is_named', 'server/failures a_bias_for_no_token_is_a_400_that_names_it')),
    ("Of Ollama's options", ('server/accepted what_is_out_of_range_for_ollama_is_its_nearest_that_is_not',)),
    ('`adapter_scale` (-4 to 4)', ('server/adapters an_adapter_answers_beside_its_base_as_strongly_as_each_request_says',)),
    ('What was computed at another scale', ('engine/adapters a_cached_prefix_is_never_used_across_adapters',)),
    ('`max_tokens` (also', ('server/no_tokens a_chat_of_no_tokens_is_cut_before_the_first_and_computes_nothing', 'server/no_tokens a_text_of_no_tokens_is_the_prompt_where_that_is_wanted_back', 'server/no_tokens a_response_of_no_tokens_is_incomplete')),
    ("Anthropic's `max_tokens` of 0", ('server/no_tokens a_message_of_no_tokens_reads_the_prompt',)),
    ("Ollama's `num_predict` of 0", ('server/no_tokens all_that_is_left_is_not_nothing',)),
    ('A brain without a chat template', ('server/no_template a_text_is_gone_on_with',)),
    ('It is in no list of models', ('server/no_template a_text_is_gone_on_with',)),
    ('Who wants to chat with it', ('server/no_template who_wants_to_chat_is_told_what_it_does_instead',)),
    ('Pulled by a cartridge', ('server/no_template a_real_one_goes_on_with_texts',)),
    ('A model is named as', ('server/generation an_alias_means_a_brain', 'server/openai_others models_and_their_other_names')),
    ('Without a name, or with', ('app a_default_that_cannot_be_loaded_gives_way_and_that_is_told', 'app the_default_brain_is_the_chosen_one_else_the_best')),
    ('A brain that is named never', ('app a_chosen_default_that_cannot_be_loaded_stays_the_default', 'server/no_template what_cannot_be_asked_is_not_the_fault_of_who_asks')),
    ('An unknown name is a 404', ('server/ollama unknown_models_list_the_known_ones', 'docs/api_examples a_request_is_answered_as_shown')),
    ('Models of other programs', ('app the_default_of_a_new_home_is_what_another_program_has', 'server/openai_others models_of_other_programs_are_asked_by_their_names_and_what_cannot_be_loaded_is_not_listed', 'cartridges/stores of_a_folder_that_holds_all_kinds_only_what_can_be_loaded_is_offered')),
    ('In `/api/tags`, in `/api/ps`', ('server/ollama_models brains_on_one_file_have_digests_of_their_own', 'server/ollama_models lists_and_pulls_tell_one_digest')),
    ('Aliases stand in `config.toml`', ('docs/api_examples the_aliases_are_understood', 'server/generation an_alias_means_a_brain')),
    ('Every brain can call functions', ('engine/contract a_call_can_be_forced_whatever_the_template_knows',)),
    ('Its template tells it of them', ('engine/tool_calls tools_calls_and_results_become_words', 'engine/tool_templates a_template_that_teaches_broken_calls_is_not_asked', 'engine/offered tools_that_would_keep_everybody_waiting_are_told_in_words')),
    ('What the brain answers is read', ('server/schemas a_call_is_read_wherever_it_stands',)),
    ('| The brain writes', ('server/schemas a_call_is_read_wherever_it_stands', 'engine/reading lists_and_other_ways_to_write_them', 'engine/reading calls_that_are_written_badly', 'engine/reading any_other_answer_is_the_text_that_it_is', 'engine/reading a_call_that_is_cut_is_text_and_not_half_a_call')),
    ('Such a call may come', ('server/schemas a_call_is_read_wherever_it_stands',)),
    ("Where the engine's own reader", ('engine/refusals what_the_engine_cannot_read_is_asked_again_with_the_tools_in_words',)),
    ('With `parallel_tool_calls: false`', ('server/schemas who_wants_one_call_gets_the_first',)),
    ('A call that must come (', ('engine/binding a_forced_call_is_one_call_of_one_of_the_tools', 'server/ollama a_choice_of_tools_is_kept', 'engine/tool_templates what_must_be_called_is_called_whatever_the_template_knows')),
    ('It ends within `max_tokens`', ('docs/api_schemas the_other_figures_are_those_of_the_code', 'server/openai_real a_call_ends_where_its_schema_does_not')),
    ('One that finds no end, or is', ('server/schemas a_call_that_must_come_is_asked_for_three_times', 'engine/binding a_forced_call_that_must_end_does', 'engine/binding where_an_answer_must_end_thoughts_do_too')),
    ('Where no call is that short', ('server/schemas a_call_that_must_come_is_asked_for_three_times',)),
    ('Tools and a schema may come', ('server/schemas with_tools_and_a_schema_the_brain_calls_or_answers',)),
    ('The grammar offers both', ('engine/binding tools_and_a_schema_offer_either_and_a_call_may_be_marked', 'engine/bound a_brain_calls_or_answers_where_both_are_asked_for')),
    ('One call comes, or up to eight', ('engine/binding several_calls_may_come_where_they_are_wanted', 'docs/api_schemas the_other_figures_are_those_of_the_code')),
    ('What the grammar did not offer', ('engine/interpreting under_a_schema_only_an_offered_call_is_one', 'server/schemas with_tools_and_a_schema_the_brain_calls_or_answers')),
    ('The brain is told of a schema', ('engine/tool_calls a_brain_that_may_call_or_answer_in_a_form_is_told_of_the_form',)),
    ('A call that must come leaves', ('server/schemas a_forced_call_leaves_no_room_for_the_schema_and_none_no_room_for_calls',)),
    ('Two tools of one name', ('server/schemas two_tools_of_one_name_are_refused',)),
    ('So are parameters that are no object', ('server/schemas parameters_that_nothing_follows_are_refused_though_nobody_must_call',)),
    ('Tools that only a cloud has (`web_search` and the like), and', ('server/histories tools_that_only_a_cloud_has_are_left_out_and_cannot_be_forced',)),
    ('The functions of a `namespace`', ('server/histories tools_of_a_namespace_are_called_by_both_names',)),
    ('A brain sees when it has', ('cartridges/projectors what_lies_beside_a_file_that_is_added_is_used', 'server/ollama_models what_a_brain_can_is_read_from_its_file')),
    ('It takes images wherever', ('server/images openai_chat', 'server/images openai_responses_keep_what_was_seen', 'server/images anthropic', 'server/images ollama')),
    ('PNG, JPEG, GIF', ('engine/images kind_and_size_are_read_from_the_header', 'engine/images what_no_brain_can_be_shown_is_refused_by_its_first_bytes', 'engine/images the_turn_that_a_camera_notes_is_not_read')),
    ('An image may have 16,777,216', ('docs/api_lines the_figures_are_those_of_the_code', 'engine/images images_are_too_large_together')),
    ('What is larger, is called another', ('server/images what_is_no_image_is_refused_with_its_place',)),
    ('So is an address', ('server/images what_is_no_image_is_refused_with_its_place',)),
    ('Before a worker decodes', ('engine/decodable a_small_file_that_becomes_gigabytes_is_read_no_further_than_its_size', 'engine/decodable a_jpeg_has_few_scans_and_few_segments', 'engine/decodable broken_pngs_are_refused')),
    ('Requests that wait or are', ('server/images images_that_wait_are_bounded_and_let_go', 'docs/api_lines the_figures_are_those_of_the_code')),
    ('Images are counted', ('engine/seeing images_are_counted_before_they_are_seen_and_answered',)),
    ('`detail` changes nothing', ('server/images the_detail_that_is_asked_for_changes_nothing',)),
    ('`/v1/responses` keeps the images', ('server/images openai_responses_keep_what_was_seen',)),
    ('No brain of the catalogue sees', REPORT),
    ('That all of it works', ('server/images the_real_engine_is_shown_images_by_every_client',)),
    ('Programs send the whole', ('server/history_matrix no_history_is_refused_no_word_is_lost_and_the_beginning_stays',)),
    ('What *happened*, up to', ('server/history_matrix no_history_is_refused_no_word_is_lost_and_the_beginning_stays', 'engine/earlier what_is_answered_ends_with_the_last_of_an_assistant')),
    ('What a template takes', ('engine/template a_template_is_asked_only_when_a_history_needs_to_know_and_once',)),
    ('Only what is *new*', ('server/histories what_is_new_and_cannot_be_done_is_refused_with_its_place',)),
    ('Results of tools are what happened', ('server/histories a_result_has_blocks_of_any_type', 'engine/contract an_answer_that_was_begun_is_continued')),
    ('| In the history', ('engine/histories system_texts_stay_in_their_places', 'engine/histories turns_alternate_where_they_must', 'engine/histories there_is_a_user_where_a_template_wants_one', 'engine/histories results_come_behind_their_calls_in_their_order', 'engine/histories results_that_nobody_asked_for_are_what_a_user_says', 'engine/histories calls_in_every_form', 'engine/histories ids_are_of_the_form_that_a_template_takes_and_each_is_there_once', 'engine/histories arguments_of_earlier_calls_are_an_object_whatever_they_were', 'server/histories what_happened_is_an_item_of_any_type', 'server/histories what_happened_is_a_part_of_any_type', 'server/histories what_happened_is_a_block_of_any_type', 'server/histories a_reference_stands_for_an_item_that_is_kept', 'server/histories a_document_that_is_text_is_read', 'server/histories a_call_without_a_name_refuses_nothing', 'server/history_repair what_happened_is_no_message_of_the_protocol')),
    ('Where a template refuses what', ('engine/template what_no_probe_foresaw_gets_the_plainest_form',)),
    ('When it refuses that, too', ('engine/template a_template_that_refuses_even_that_is_quoted',)),
    ('A history that grows keeps', ('engine/histories what_was_written_before_an_answer_stays',)),
    ('Some templates do not', REPORT),
    ('From there on they are read', REPORT),
    ('A JSON Schema in `response_format`', ('server/schemas a_schema_that_nothing_follows_is_refused_before_anything_is_computed', 'server/openai_exact formats_are_schemas', 'server/openai_exact a_schema_may_be_written_as_llama_cpp_has_it')),
    ('What else binds answers', ('server/openai_exact a_schema_may_be_written_as_llama_cpp_has_it',)),
    ("`json_object` and Ollama's", ('server/openai_exact formats_are_schemas', 'server/ollama options_become_sampling')),
    ('The rule: an answer with a 200', ('server/schemas after_three_tries_it_is_a_500_that_names_the_keyword_and_its_place', 'engine/interpreting an_answer_under_a_schema_is_proved_before_its_end')),
    ('A grammar lets the brain', ('schemas/grammars all_that_a_grammar_admits_follows_its_schema', 'engine/bound a_grammar_that_the_worker_does_not_keep_is_a_refusal_and_no_free_answer')),
    ('Without tools the brain', ('server/schemas the_brain_is_not_told_of_the_schema',)),
    ('| In the schema', ('docs/api_schemas every_keyword_is_in_the_table_and_none_that_means_nothing', 'docs/api_schemas what_is_kept_token_by_token_is', 'docs/api_schemas what_is_held_until_it_is_proved_is_what_no_grammar_keeps', 'server/schemas what_a_list_holds_twice_is_left_out', 'schemas/sieves of_properties_with_one_name_the_first_is_sent', 'engine/interpreting likelihoods_are_of_the_tokens_that_are_given')),
    ('What is held is sent', ('engine/interpreting what_no_grammar_keeps_is_held_until_it_is_proved',)),
    ('When it does not, the brain', ('server/schemas an_answer_that_does_not_follow_is_asked_for_again', 'server/schemas after_three_tries_it_is_a_500_that_names_the_keyword_and_its_place', 'server/schemas a_text_without_a_template_is_asked_for_once', 'engine/interpreting how_often_a_request_is_tried_and_what_changes')),
    ('An answer that a proof would look at', ('schemas/much to_count_what_a_proof_takes_is_bounded', 'schemas/words of_an_answer_that_is_too_much_to_be_proved_nobody_says_that_it_does_not_follow', 'docs/api_schemas the_other_figures_are_those_of_the_code')),
    ('With `strict: false` beside the schema', ('server/schemas who_wants_no_strictness_is_told_what_may_not_be_kept',)),
    ('What grammars keep is kept', ('engine/interpreting who_wants_no_strictness_gets_what_comes',)),
    ('A schema that cannot be kept', ('server/schemas a_schema_that_nothing_follows_is_refused_before_anything_is_computed',)),
    ('One sentence names the keyword', ('schemas/words a_refusal_is_one_sentence_with_the_keyword_and_its_place',)),
    ('- What nothing can satisfy', ('schemas/words a_refusal_is_one_sentence_with_the_keyword_and_its_place',)),
    ('- References to elsewhere', ('schemas/words a_refusal_is_one_sentence_with_the_keyword_and_its_place',)),
    ('- What is no JSON Schema', ('docs/api_schemas the_draft_is_the_one_that_is_named_or_the_newest_that_is_followed', 'schemas/words a_refusal_is_one_sentence_with_the_keyword_and_its_place', 'schemas/drafts grammar_and_proof_obey_the_same_keywords', 'schemas/drafts a_keyword_counts_from_its_draft_on')),
    ('- What is more than this', ('schemas/much what_is_too_much_is_refused_in_words',)),
    ('| A schema may have', ('docs/api_schemas the_limits_are_those_of_the_code', 'schemas/much what_is_too_much_is_refused_in_words')),
    ('A grammar may offer less', ('schemas/grammars all_that_a_grammar_admits_follows_its_schema',)),
    ('Properties come in the order', ('docs/api_schemas properties_come_in_their_order_and_others_only_where_they_are_spoken_of',)),
    ('In one object 600', ('docs/api_schemas so_many_properties_that_may_be_left_out_are_offered',)),
    ('Where alternatives have more', ('docs/api_schemas of_very_many_alternatives_the_first_are_offered',)),
    ('Whole numbers and multiples without a bound', ('docs/api_schemas the_other_figures_are_those_of_the_code', 'schemas/grammars multiples_are_admitted_on_both_sides_of_zero', 'docs/api_schemas what_says_nothing_of_types_is_of_those_that_it_speaks_of')),
    ('White space is that of', ('schemas/grammars what_people_write_is_admitted', 'docs/api_schemas what_says_nothing_of_types_is_of_those_that_it_speaks_of')),
    ('Formats that count', ('docs/api_schemas the_formats_that_count_are_told_and_count',)),
    ('Three dialects of patterns', ('docs/api_schemas the_table_of_dialects_is_true',)),
    ('Omni reads a pattern as', ('schemas/patterns classes_are_those_of_ecma_262', 'docs/api_schemas what_dialects_dispute_is_not_offered')),
    ('| Pattern | ECMA-262', ('docs/api_schemas the_table_of_dialects_is_true', 'docs/api_schemas what_the_validators_dialect_refuses_is_proved_by_omni_itself')),
    ('A stop text does not cut', ('server/schemas a_stop_text_cuts_no_answer_in_a_form', 'engine/tool_calls a_text_that_would_end_the_answer_cuts_no_json', 'engine/completions a_stop_text_cuts_nothing_that_a_grammar_binds')),
    ('One that ends at its limit', ('server/schemas an_answer_that_is_cut_says_so_and_is_not_said_to_follow',)),
    ('A brain that thinks does so', ('server/schemas a_brain_thinks_first_and_then_answers_by_the_schema', 'engine/binding what_a_brain_thinks_comes_before_and_marks_stand_around')),
    ('`/v1/responses` keeps an answer', ('server/responses an_answer_is_gone_on_from_fetched_and_forgotten',)),
    ('`store: false` keeps nothing', ('server/responses one_that_is_unknown_or_was_not_kept',)),
    ('What is kept belongs to you', ('server/responses a_store_is_bounded_and_each_key_has_its_own',)),
    ('Fetching and deleting by id', ('server/guard only_who_may_do_everything_or_has_a_key_keeps_answers', 'server/responses nothing_is_kept_for_a_page_of_elsewhere')),
    ('An answer has every field', ('server/responses_exact answers_and_events_are_openais_to_the_letter',)),
    ('`temperature`, `top_p`, the penalties', ('server/responses_exact it_says_what_was_asked_and_what_is_really_used',)),
    ('Tools that only a cloud has (`web_search` and the like) are', ('server/responses_exact tools_come_back_as_they_were_sent',)),
    ('`/v1/responses/{response_id}/input_items` lists', ('server/responses_exact the_items_of_an_answer_are_all_that_led_to_it', 'server/responses_exact a_page_has_twenty_items_where_nothing_is_said', 'server/responses_exact images_of_an_answer_are_shown_to_who_asks_for_them')),
    ('`/v1/responses/input_tokens` counts', ('server/responses_exact the_tokens_of_a_prompt_are_counted',)),
    ('Of a prompt that is far too long', ('engine/lengths what_is_only_counted_is_counted_in_pieces_however_long', 'engine/lengths where_the_number_is_wanted_the_rest_is_taken_to_be_like_the_beginning')),
    ('An answer is written for as long', ('server/responses_exact an_answer_with_a_connection_is_not_cancelled',)),
    ("Kept answers lie in the home's", ('docs/api_lines the_figures_are_those_of_the_code', 'server/responses a_store_is_bounded_and_each_key_has_its_own')),
    ('One belongs to the key', ('server/responses a_store_is_bounded_and_each_key_has_its_own',)),
    ('When an answer could not be kept', ('server/responses what_cannot_be_kept_is_answered_all_the_same',)),
    ('A GGUF that was made for vectors', ('cartridges/gguf how_vectors_are_made_is_told', 'cartridges/gguf what_is_no_chat_model_is_told_apart')),
    ('Where none is here yet', ('cartridges/pull_hub the_command_that_is_told_for_vectors_fetches_a_brain_for_them', 'cartridges/library a_file_that_makes_vectors_is_added_and_is_no_brain_to_chat_with')),
    ('Such a brain stands in', ('server/embedding_models the_official_clients_get_its_vectors',)),
    ('It is asked by its name', ('server/embedding_models without_a_name_the_brain_for_vectors_makes_them', 'server/embedding_models the_official_clients_get_its_vectors')),
    ('Who wants an answer of it', ('server/embedding_models who_wants_an_answer_of_it_is_told_what_it_is',)),
    ('A brain that chats makes vectors', ('server/openai_real vectors',)),
    ('Vectors have length 1', ('server/dimensions every_endpoint_gives_vectors_of_length_1',)),
    ('`dimensions` cuts them', ('server/dimensions they_are_cut_and_of_length_1_again', 'server/dimensions what_cannot_be_cut_is_refused')),
    ('`encoding_format` is', ('server/openai_others vectors_as_numbers_and_as_bytes', 'server/openai_refusals what_is_wrong_with_a_vector_is_named')),
    ('Input made of tokens', ('server/openai_refusals what_is_wrong_with_a_vector_is_named',)),
    ('At most 2,048 texts', ('docs/api_lines the_figures_are_those_of_the_code', 'server/openai_refusals a_text_that_is_too_long_for_one_vector_is_told_what_helps', 'server/openai_refusals no_text_is_no_empty_text')),
    ('Many texts are read a few', ('engine/embeddings a_thousand_texts_let_others_in',)),
    ('Tried with all-MiniLM', REPORT),
    ('It is lower in two cases', REPORT),
    ('Of the other kinds only headers', REPORT),
    ("The hub's model above was not", REPORT),
    ('A reranker reads a question', ('engine/embeddings ranks_are_what_the_models_numbers_say',)),
    ('It is known by its header, like', ('cartridges/gguf what_is_no_chat_model_is_told_apart', 'cartridges/library a_file_that_ranks_texts_is_added_and_makes_no_vectors')),
    ('Where none is here yet, `omni pull @omni/qwen3', ('server/rerank who_was_not_made_for_it_is_not_asked', 'docs/api_examples a_request_is_answered_as_shown')),
    ("The request is Jina's", ('server/rerank the_best_texts_come_first_under_every_name_of_the_field',)),
    ("The answer's `results`, the best", ('server/rerank the_best_texts_come_first_under_every_name_of_the_field',)),
    ("A reranker's score is between", ('engine/embeddings a_score_is_a_chance_whatever_the_model_gave', 'engine/embeddings ranks_are_what_the_models_numbers_say')),
    ('An embedding model that is named', ('server/rerank a_reranker_and_an_embedding_model_score_by_their_numbers', 'server/rerank a_reranker_comes_before_an_embedding_model')),
    ('`scored_by` says which', ('server/rerank a_reranker_comes_before_an_embedding_model',)),
    ('A brain that chats is refused', ('server/rerank who_was_not_made_for_it_is_not_asked',)),
    ('At most 2,048 texts come', ('server/rerank what_cannot_be_ranked_is_told_with_its_place', 'server/rerank a_reranker_and_an_embedding_model_score_by_their_numbers')),
    ('Models of one layer', ('engine/embeddings ranks_are_what_the_models_numbers_say', 'engine/embeddings a_ranker_that_says_yes_or_no_is_asked_by_its_own_words')),
    ("Of models with BERT's own", REPORT),
    ('No reranker of the hub', REPORT),
    ('A prompt must fit into', ('engine/contract a_prompt_that_does_not_fit_is_refused_with_figures', 'docs/api_lines the_room_of_an_answer_is_as_it_is_said')),
    ('One that does not is refused', ('server/openai_refusals an_overflow_is_told_before_anything_is_sent', 'server/responses a_failure_is_a_status_before_and_an_event_after_the_first_word')),
    ('A larger `max_tokens`', ('engine/contract an_answer_takes_no_more_than_what_is_left',)),
    ('An answer that ends at its limit', ('server/openai_exact an_answer_that_is_cut_says_so', 'server/responses an_answer_that_is_cut_says_so')),
    ('`/tokenize` takes texts', ('engine/lengths what_is_only_counted_is_counted_in_pieces_however_long',)),
    ('So many answers are written', ('server/generation places_go_to_the_lane_with_the_fewest', 'server/generation a_full_queue_turns_away_and_one_that_leaves_makes_room')),
    ('Then the answer is a 429', ('server/openai_exact several_answers_are_admitted_together_or_not_at_all', 'server/openai_exact more_answers_than_there_will_ever_be_places_for_are_no_reason_to_try_again')),
    ('A stream whose turn has not come', ('server/ollama a_quiet_brain_is_heard_as_an_empty_line', 'docs/api_lines the_figures_are_those_of_the_code')),
    ('A client that leaves ends', ('server/openai_client who_leaves_in_mid_stream_frees_the_place', 'server/ollama a_client_that_leaves_ends_its_answer')),
    ('One that only closes its sending', ('server/protocol who_sends_no_more_has_left_for_those_who_wait_for_it', 'server/protocol who_sends_no_more_still_reads_the_answer_and_is_hung_up_on_then')),
    ('| Who asks |', ('server/guard this_user_may_do_everything', 'server/guard a_foreign_page_may_chat_and_nothing_else', 'server/guard only_apps_of_this_machine_may_read_the_answer', 'server/guard a_null_origin_may_do_nothing_at_all', 'server/guard another_user_may_do_nothing', 'server/guard whom_the_kernel_does_not_name_may_chat', 'server/guard another_machine_needs_a_key')),
    ('A page of another origin', ('docs/api_examples what_a_page_of_elsewhere_reaches_is_listed', 'server/guard a_foreign_page_may_chat_and_nothing_else')),
    ('Its `keep_alive` is ignored', ('server/ollama_models a_page_of_elsewhere_has_no_say_in_how_long_a_brain_stays',)),
    ('In the document of the API', ('server/openapi every_route_is_in_it',)),
    ('A key of the scope `chat`', ('server/guard keys_open_what_their_scopes_say',)),
    ('A key is shown once', ('server/keys a_key_is_shown_once_and_kept_as_a_hash',)),
    ('It is sent as', ('server/guard keys_open_what_their_scopes_say',)),
    ('Any other address', ('server/serving other_addresses_need_a_key_and_tls',)),
    ('makes a certificate', ('server/serving tls_with_a_certificate_made_here', 'e2e/serve tls_with_the_certificate_that_is_told')),
    ('Another name under which', ('server/guard our_names', 'server/guard foreign_names_are_refused_before_anything')),
    ('Each protocol has its own form', ('server/failures before_anything_is_sent_it_is_a_status', 'server/guard a_refusal_has_the_words_of_its_path_and_a_number')),
    ('Every answer of an endpoint', ('server/guard a_refusal_has_the_words_of_its_path_and_a_number', 'server/protocol what_cannot_be_read_is_told_in_the_words_of_its_path')),
    ('Refusals of the relay', ('airlock/listen_refusals a_head_that_does_not_come', 'airlock/listen_refusals a_head_that_is_too_long', 'airlock/listen_refusals too_many_connections_are_told_so', 'airlock/listen_refusals a_server_that_has_gone', 'airlock/listen_refusals a_server_that_is_too_busy_to_accept')),
    ('| Status | Meaning', ('docs/api_examples every_status_is_explained', 'server/protocol a_request_that_stops_half_way', 'server/protocol one_byte_a_second_keeps_a_body_alive_but_no_head', 'server/protocol a_body_that_says_it_is_too_long_is_refused_at_once', 'docs/api_lines the_figures_are_those_of_the_code')),
    ('Whose fault a failure', ('server/failures before_anything_is_sent_it_is_a_status', 'server/failures in_the_middle_of_a_stream_it_is_the_last_event')),
    ('Official clients try again', ('server/failures official_clients_try_again_only_where_it_helps',)),
    ("A request that ends the brain's process", ('engine/deaths one_request_ends_the_worker_and_the_others_hear_nothing_of_it', 'engine/ceilings a_request_that_reaches_the_ceiling_fails_and_the_next_one_is_answered')),
    ('The answers of others go on', ('engine/deaths one_request_ends_the_worker_and_the_others_hear_nothing_of_it', 'engine/deaths who_had_nothing_said_is_asked_again')),
    ('Those in the middle of a schema', ('engine/deaths what_cannot_be_gone_on_with_is_said_again_and_given_once', 'engine/deaths where_it_comes_out_otherwise_an_answer_that_was_begun_fails', 'engine/deaths where_it_comes_out_otherwise_who_has_got_nothing_gets_that')),
    ('| What happened', ('docs/api_examples the_table_of_failures_is_true',)),
    ('- Sound, files that are no text', ('server/openai_refusals a_brain_that_cannot_see_or_hear_says_so', 'server/histories what_is_new_and_cannot_be_done_is_refused_with_its_place')),
    ('- `/v1/audio/…`', ('server/openai_refusals there_is_no_voice_yet',)),
    ('- `/api/copy`', ('server/ollama_models what_omni_does_otherwise',)),
    ("- Files of the server's machine", ('server/ollama_models a_file_of_this_machine_is_not_pulled',)),
    ('- More than 64 stop texts', ('server/openai_refusals what_is_wrong_is_named',)),
    ("- Likelihoods of a prompt's own", ('server/openai_refusals what_is_wrong_with_a_text_is_named', 'engine/refusals likelihoods_and_tools_of_a_template_do_not_go_together')),
    ('- In responses `background`', ('server/responses_exact fields_for_what_is_not_there_are_refused_with_what_there_is_instead',)),
    ('- A kept answer as a stream', ('server/responses one_that_is_unknown_or_was_not_kept',)),
    ('- `/v1/conversations`', ('server/responses_exact what_is_not_there_says_so_and_is_not_tried_again',)),
    ('- Fine-tuning, files', ('server/responses_exact what_else_openai_has_answers_to_nobody',)),
    ('- A hand on what other programs', ('docs/api_lines who_calls_home_is_said_as_on_the_page_of_clients',)),
]  # fmt: skip


def sentences() -> list[str]:
    """The sentences, list items and tables of the page; examples are run by other tests."""
    passages: list[str] = []
    for paragraph in re.split(r"\n\n+", re.sub(r"^```.*?^```$", "\n\n", PAGE, flags=re.DOTALL | re.MULTILINE)):
        text = paragraph.strip()
        if text.startswith("|"):
            passages.append(text)
        elif text.startswith("- "):
            passages += [" ".join(item.split()) for item in re.split(r"\n(?=- )", text)]
        elif text and not text.startswith("#"):
            passages += re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(text.split()))
    return passages


@cache
def known_in(name: str) -> set[str]:
    """The tests of a file."""
    folder, _, last = name.rpartition("/")
    path = ROOT / "tests" / folder / f"test_{last}.py"
    return {
        node.name.removeprefix("test_")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_sentence_has_a_line_here() -> None:
    begun = [begin for begin, _ in LINES]
    beginnings = [
        sentence[: len(begun[at])] if at < len(begun) else sentence for at, sentence in enumerate(sentences())
    ]
    assert beginnings == begun


@pytest.mark.parametrize(("begin", "tests"), LINES, ids=[begin for begin, _ in LINES])
def test_the_tests_of_a_sentence_are_there(begin: str, tests: tuple[str, ...]) -> None:
    if tests == REPORT:
        return
    assert tests, begin
    for test in tests:
        file, _, name = test.partition(" ")
        assert name in known_in(file), test


def test_the_figures_are_those_of_the_code() -> None:
    serve = Settings().serve
    for said in (
        f"`http://127.0.0.1:{serve.port}`",
        f"may have {images.MOST_PIXELS:,} pixels, {images.LONGEST_SIDE:,} a side and be {images.NARROWEST} times longer",
        f"all of a request together {images.MOST_PIXELS_TOGETHER:,} pixels",
        f"a JPEG of more than {decodable.MOST_SCANS} scans",
        f"at most {fair_queue.MOST_IMAGE_BYTES >> 20} MiB of images",
        f"at most {responses_store.MOST:,} of them and {responses_store.MOST_BYTES >> 20} MiB, each for {responses_store.DAYS} days",
        f"{responses_items.USUAL} items a page",
        f"At most {bounds.MOST_TEXTS:,} texts",
        f"a comment every {streams.BEAT_SECONDS:.0f} seconds",
        f"not whole in {protocol.HttpLimits().seconds:.0f} seconds",
        f"longer than {protocol.HttpLimits().body >> 20} MiB",
        f"More than {bounds.MOST_STOPS} stop texts, or one of more than {bounds.LONGEST_STOP:,} characters",
    ):
        assert said in " ".join(PAGE.split())


def test_the_room_of_an_answer_is_as_it_is_said() -> None:
    assert f"for {LEAST_ANSWER} tokens where more is asked for" in PAGE
    for allocated, wanted, least in (
        (8192, 10, 10),
        (8192, 5000, 256),
        (2048, 5000, 256),
        (1024, 5000, 128),
        (64, 99, 16),
    ):
        assert completion_limit(allocated - least, wanted, allocated) == least
        with pytest.raises(ContextOverflow):
            completion_limit(allocated - least + 1, wanted, allocated)


def test_who_calls_home_is_said_as_on_the_page_of_clients() -> None:
    (row,) = re.findall(r"^\| openai-agents \|.*$", (DOCS / "clients.md").read_text("utf-8"), re.MULTILINE)
    for said in ("`api.openai.com`", "`OPENAI_API_KEY`", "`OPENAI_AGENTS_DISABLE_TRACING=1`", "even to `none`"):
        assert said in row
        assert said in " ".join(PAGE.split())
